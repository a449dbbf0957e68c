package cache

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// purgeOrder is what a purge header or request asks for.
type purgeOrder struct {
	soft     bool
	all      bool
	tags     []string
	paths    []string // /path, //host/path or a URL, perhaps with a query
	prefixes []string // /prefix or //host/prefix
}

func (o *purgeOrder) empty() bool {
	return !o.all && len(o.tags)+len(o.paths)+len(o.prefixes) == 0
}

func (o *purgeOrder) items() int {
	return len(o.tags) + len(o.paths) + len(o.prefixes)
}

func (o *purgeOrder) kind() string {
	if o.soft {
		return "soft"
	}
	return "hard"
}

// parsePurgeHeader reads X-Odoo-Purge: items separated by commas or white
// space, each a tag, a path, a prefix that ends in *, or * for everything. A
// first word "stale" makes the purge soft.
func parsePurgeHeader(lines []string) purgeOrder {
	var o purgeOrder
	words := strings.Fields(strings.ReplaceAll(strings.Join(lines, ","), ",", " "))
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case i == 0 && word == "stale":
			o.soft = true
		case word == "*":
			o.all = true
		case !isAddress(word):
			o.tags = append(o.tags, word)
		case strings.HasSuffix(word, "*"):
			o.prefixes = append(o.prefixes, strings.TrimSuffix(word, "*"))
		default:
			o.paths = append(o.paths, word)
		}
	}
	return o
}

func isAddress(word string) bool {
	return word[0] == '/' || strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://")
}

// members returns the marks that carry out an order, or an error that names
// the part that cannot be carried out.
func (o *purgeOrder) members(l keys.Limits) ([]string, error) {
	if n := o.items(); n > l.Tags {
		return nil, &itemError{part: "items", problem: "too many"}
	}
	var members []string
	for i := 0; i < len(o.tags); i++ {
		if len(o.tags[i]) > l.Bytes || strings.TrimSpace(o.tags[i]) == "" {
			return nil, &itemError{part: "tags", problem: "a tag is empty or too long"}
		}
		members = append(members, storage.TagMark(keys.HashTag("t", o.tags[i]), o.soft))
	}
	for i := 0; i < len(o.paths); i++ {
		hash, err := keys.PathTag(o.paths[i])
		if err != nil {
			return nil, &itemError{part: "paths", problem: err.Error()}
		}
		members = append(members, storage.TagMark(hash, o.soft))
	}
	for i := 0; i < len(o.prefixes); i++ {
		prefix, err := keys.PrefixOf(o.prefixes[i])
		if err != nil || len(prefix) > 4*l.Bytes {
			return nil, &itemError{part: "prefixes", problem: "a prefix is no /path or //host/path, or too long"}
		}
		members = append(members, storage.PrefixMark(prefix, o.soft))
	}
	if o.all && o.soft {
		members = append(members, storage.TagMark(tenantTag, true))
	}
	return members, nil
}

// itemError says what is wrong with a part of a purge.
type itemError struct {
	part    string
	problem string
}

// Error implements error.
func (e *itemError) Error() string {
	return e.part + ": " + e.problem
}

// applyPurges carries out what a response's headers and its request's method
// ask for, before anything of it reaches the client: purge headers of the
// application, and the invalidation of what an unsafe method has changed
// (RFC 9111 §4.4). A purge that cannot be understood, or is too large, becomes
// one of everything: none is lost.
func applyPurges(h *Handler, v *visit, status int, header http.Header) {
	if header[h.s.PurgeHeader] != nil || header["Cache-Group-Invalidation"] != nil {
		applyPurgeHeaders(h, header)
	}
	if v.r.Method != http.MethodGet && unsafeMethod(v.r.Method) && status >= 200 && status < 400 {
		h.invalidate(v, header)
	}
}

// applyPurgeHeaders carries out what a response's headers ask for.
func applyPurgeHeaders(h *Handler, header http.Header) {
	if h.s.Purge.FromResponses {
		if lines := header[h.s.PurgeHeader]; len(lines) > 0 {
			h.applyOrder(parsePurgeHeader(lines), "header")
		}
		if lines := header["Cache-Group-Invalidation"]; len(lines) > 0 {
			groups, err := keys.ParseStrings(strings.Join(lines, ","))
			h.applyOrder(purgeOrder{tags: groups, all: err != nil}, "header")
		}
	}
}

// applyOrder carries out an order of the application.
func (h *Handler) applyOrder(o purgeOrder, from string) {
	if o.empty() {
		return
	}
	members, err := o.members(h.s.Limits.Purge)
	p := storage.Purge{Soft: o.soft, All: o.all, Members: members}
	if err != nil {
		h.logf("a purge %s: %v; everything was purged instead", from, err)
		p = storage.Purge{All: true}
	}
	count(h, "purge")
	if err := h.purgeTold(p); err != nil {
		h.logf("purge by %s: %v", from, err)
	}
}

// longestWait is how long an answer waits at most until its purge is written with others, in ms.
const longestWait = 1000

// purgeTold carries out a purge of the application's: at once, or with others if there are too many.
// When it returns it is carried out, or kept.
func (h *Handler) purgeTold(p storage.Purge) error {
	r := h.shared.rateOf(h.s.Tenant)
	r.mu.Lock()
	wait := r.told.wait(h.s.Quota.Purges, storage.Ticks())
	if wait == 0 {
		r.mu.Unlock()
		_, err := h.purge(p)
		return err
	}
	b := r.next
	first := b == nil
	if first {
		b = &batch{has: map[string]bool{}, done: make(chan struct{})}
		b.purge.Soft = true
		r.next = b
	}
	b.add(p, h.s.Limits.Purge.Tags)
	r.mu.Unlock()
	count(h, "purge-together")
	if !first {
		<-b.done
	} else {
		h.write(r, b, wait)
	}
	if !b.written { // whoever was to do it has failed
		_, err := h.purge(p)
		return err
	}
	return b.err
}

// write writes what is to be written together, when the next purge is due or others have waited long
// enough.
func (h *Handler) write(r *rates, b *batch, wait int64) {
	defer func() {
		if p := recover(); p != nil {
			count(h, policy.ReasonInternal)
			h.logf("purges together: %v", p)
		}
		close(b.done)
	}()
	if wait > longestWait {
		wait = longestWait
	}
	time.Sleep(time.Duration(wait) * time.Millisecond)
	r.mu.Lock()
	r.next = nil                                   // what comes now is for the next one
	r.told.wait(h.s.Quota.Purges, storage.Ticks()) // it is one of those that may be made
	r.mu.Unlock()
	_, b.err = h.purge(b.purge)
	b.written = true
}

// invalidate removes what is stored under the address of an unsafe request, and under those
// on the same host that its response names. It makes no marks: these are for purges, and
// anybody can send a POST. What fails is not tried again, for the same reason.
//
// A rule may say that a POST changes nothing that is stored: the request's own, if it keeps
// the session what it is, or the page's, if nothing of it is stored or the application says
// itself what has changed.
func (h *Handler) invalidate(v *visit, header http.Header) {
	if v.rule.KeepsSession {
		return
	}
	list := pagesAt(h, v, v.r.URL, nil)
	host := keys.FoldHost(purgeHost(v.target))
	for _, name := range []string{"Location", "Content-Location"} {
		to := header.Get(name)
		if to == "" {
			continue
		}
		if u, err := v.r.URL.Parse(to); err == nil && u.Opaque == "" && (u.Host == "" || keys.FoldHost(u.Host) == host) {
			list = pagesAt(h, v, u, list)
		}
	}
	if len(list) == 0 {
		return
	}
	noteDropped(h.shared, list)
	h.shared.tier.Drop(h.tenant, list)
}

// pagesAt adds to a list the keys of what may be stored of an address: for the requester, and
// in each language of the rule.
func pagesAt(h *Handler, v *visit, u *url.URL, list []string) []string {
	at := *u
	if at.Path == "" {
		at.Path = "/"
	}
	r := &http.Request{Method: http.MethodGet, URL: &at, Host: v.r.Host, Header: v.r.Header, TLS: v.r.TLS}
	target := keys.TargetOf(r)
	path, _ := keys.RoutedPath(&at)
	ru, _ := firstRule(h, r, keys.FoldHost(purgeHost(&target)), path)
	if ru.Bypass || ru.Nobody {
		return list
	}
	more := false
	target.Query, _, more = keys.Query(at.RawQuery, at.ForceQuery, ru.Keep, ru.Ignore, h.s.Limits.QueryParams)
	if more { // nothing is stored of it
		return list
	}
	dimensions := ru.Alternatives(r)
	key := keys.Primary(h.s.Tenant, ru.Name, target, nil)
	if passed := passedFields(h, v.r); passed != nil {
		key = withPassed(key, passed)
	}
	for i := 0; i < len(dimensions); i++ {
		list = append(list, keys.Extend(key, dimensions[i]))
	}
	return list
}

// dropped is what was removed lately: requests to the origin that were under way then bring
// what is from before.
type dropped struct {
	count atomic.Int64 // of the times that something was

	mu     sync.Mutex
	recent map[string]int64 // which time that was, by the identity of a primary key
	before map[string]int64
}

// maxDropped bounds each of the two maps, of which the older one goes when the other is full.
const maxDropped = 4096

// noteDropped notes that what is stored under primary keys is removed now.
func noteDropped(sh *Shared, list []string) {
	d := &sh.dropped
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.count.Add(1)
	for i := 0; i < len(list); i++ {
		if d.recent == nil || len(d.recent) >= maxDropped {
			d.before = d.recent
			d.recent = map[string]int64{}
		}
		d.recent[keys.ID(list[i])] = n
	}
}

// droppedSince reports whether what is stored under a primary key has been removed since
// there were so many times.
func droppedSince(sh *Shared, primary string, count int64) bool {
	d := &sh.dropped
	d.mu.Lock()
	defer d.mu.Unlock()
	id := keys.ID(primary)
	return d.recent[id] > count || d.before[id] > count
}

// purgeAddressOf returns the address of a request as the tags of its page have it: without
// the parameters that its rule does not count.
func (h *Handler) purgeAddressOf(v *visit) string {
	ru := h.cacheableRule(v)
	address := "//" + keys.FoldHost(purgeHost(v.target)) + v.r.URL.EscapedPath()
	query, _, more := keys.Query(v.r.URL.RawQuery, false, ru.Keep, ru.Ignore, h.s.Limits.QueryParams)
	if more { // no page has that many
		query = v.r.URL.RawQuery
	}
	if query == "" {
		return address
	}
	return address + "?" + strings.ReplaceAll(query, "#", "%23")
}

// purge carries a purge out.
func (h *Handler) purge(p storage.Purge) (storage.Head, error) {
	head, err := h.shared.tier.Purge(h.tenant, p)
	if err == nil && !p.Soft && h.s.Rewarm > 0 && h.shared.beginWarming(h.s.Tenant) {
		go func() {
			defer func() {
				if p := recover(); p != nil {
					h.shared.endWarming(h.s.Tenant) // else warmAgain has done so, and it may have begun anew
					count(h, policy.ReasonInternal)
					h.logf("rewarm: %v", p)
				}
			}()
			for again := true; again; again = h.shared.warmAgain(h.s.Tenant) {
				h.warm()
			}
		}()
	}
	return head, err
}
