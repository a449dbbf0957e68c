package cache

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

// makeReady prepares a page that the long way has found fresh, and enters it into the table.
func makeReady(h *Handler, v *visit) {
	id := v.id
	e := v.entry
	if id.forward != v.r.URL.RawQuery { // one of many addresses of the page, such as each click on an advertisement has
		return
	}
	if v.list != nil || v.soft || e.Status != http.StatusOK || e.Life.NoCache || v.head.Epoch == 0 || len(e.Body) == 0 ||
		(v.context != "" && v.context != odoo.DefaultContext) || id.campaign || id.byHeader || h.s.Session == "" || h.s.ContextCookie == "" {
		return
	}
	key := ""
	if v.r.Method == http.MethodGet {
		key = tableKey(h, v.r)
	}
	at := h.shared.tier.PageKey(h.tenant, v.primary)
	if at == "" || key == "" {
		return
	}
	plain := e.Plain > 0 && !keys.AcceptsGzip(v.r.Header["Accept-Encoding"])
	r := h.shared.tier.Prepared(at, e, v.head.Seq, plain)
	if r == nil {
		if r = prepare(h, at, v, plain); r == nil {
			return
		}
	}
	atomic.AddInt64(r.Hits, 1)
	if !h.s.Debug { // else each hit goes the long way, which writes its line
		enterTable(h, v, at, key, r, plain)
	}
}

// prepare builds what clients of each kind get of a visit's entry, and hands it to the tier.
// It returns nil if the tier has no room for it.
func prepare(h *Handler, at string, v *visit, plain bool) *storage.Ready {
	e := v.entry
	r := &storage.Ready{
		Entry: e, Until: e.Life.Born + e.Life.TTL - earlyWindow(h, e), Seq: v.head.Seq, Recipe: recipe(h, v), Hits: new(int64),
	}
	r.Stored = formOf(zipClient, e, nil, len(e.Body))
	if plain {
		body, err := e.Decoded()
		if err != nil {
			return nil // the answer will tell
		}
		r.Plain = formOf(plainClient, e, body, len(body))
	}
	if !h.shared.tier.Prepare(at, r) {
		return nil
	}
	return r
}

// enterTable enters a page into the table for requests like this one.
func enterTable(h *Handler, v *visit, at, key string, r *storage.Ready, plain bool) {
	p := &readyPage{ready: r, form: r.Stored, tierKey: at, rule: v.rule, remote: r.Remote(), byConsent: !v.consent && hasName(r.Entry.Tags, consentTag)}
	if plain {
		p.form = r.Plain
	}
	if v.now >= r.Until || p.form == nil {
		return
	}
	license := h.tenant.License(r)
	if license == nil {
		return
	}
	p.licensed = &license.Until
	p.served = h.tenant.Served
	p.counted = r.Hits
	p.names = p.form.Names
	p.values = p.form.Values
	p.body = p.form.Body
	p.tellsScheme = v.r.Header["X-Forwarded-Proto"] != nil
	p.decoded = (p.form != r.Stored || r.Entry.Sealed != nil) && p.body == nil
	if p.remote {
		p.exchange = h.shared.tier.Exchange(h.tenant, r, license, p.body)
	}
	if v.id.varies {
		who := &sender{}
		if cookie := v.r.Header["Cookie"]; len(cookie) == 1 {
			who = senderOf(h, v.r, cookie[0])
		}
		values := strings.Join(v.values, "\n")
		if who == nil || len(v.r.Header["Cookie"]) > 1 || !setValues(h.identities, varyFields(v.rule, v.r, who.rest), values) {
			return
		}
		keepInTable(h, key, &readyPage{
			ready: r, tierKey: at, rule: v.rule, varies: true, licensed: p.licensed,
			personal: hasName(v.rule.Cookies, h.s.Session) || hasName(v.rule.Cookies, h.s.ContextCookie),
		})
		key = beginning(values) + key
	}
	if v.consent {
		key = consenting + key
	}
	setTimes(h, p, time.Now())
	keepInTable(h, key, p)
}

// keepInTable puts a page into the table, for as long as the tier has it.
func keepInTable(h *Handler, key string, p *readyPage) {
	if len(key) > maxAddress {
		return
	}
	if h.shared.tier.Announce(p.tierKey, p.ready, key) {
		putInTable(h, key, p)
	}
}

// putInTable puts a page into the table. It reports false if what is ready has gone, perhaps
// just now.
func putInTable(h *Handler, key string, p *readyPage) bool {
	h.table.Store(key, p)
	if !tier.Announced(h.shared.tier, p.tierKey, p.ready, key) {
		h.table.Delete(key)
		return false
	}
	return true
}

// renewPage puts a page for another second into the table. It returns nil if it has to be
// looked up again.
func renewPage(h *Handler, key string, before *readyPage, t time.Time) *readyPage {
	r := before.ready
	now := t.UnixMilli()
	if now >= r.Until || now < r.Entry.Life.Born {
		return nil
	}
	p := *before
	setTimes(h, &p, t)
	if !putInTable(h, key, &p) {
		return nil
	}
	return &p
}

// setTimes sets the fields of a page that depend on the time, as of t. From then on a clock
// counts that only goes forward.
func setTimes(h *Handler, p *readyPage, t time.Time) {
	now := t.UnixMilli()
	shift := int64(t.Sub(storage.Started)) - t.UnixNano()
	l := &p.ready.Entry.Life
	until := p.ready.Until
	if now >= l.Born && l.TTL/1000 < int64(len(h.hits)) {
		p.ages = h.ages
		p.hits = h.hits
		p.from = l.Born*1e6 + shift
		p.until = until*1e6 + shift
		p.left = l.TTL / 1000
		setQuick(p)
		return
	}
	seconds := (now - l.Born) / 1000 // less than the lifetime: it is fresh
	from := l.Born + seconds*1000
	if now < l.Born { // the clock was set back
		seconds = 0
		from = now - now%1000
	}
	if until > from+1000 {
		until = from + 1000
	}
	p.from = from*1e6 + shift
	p.until = until*1e6 + shift
	p.left = 0
	p.ages = []string{strconv.FormatInt(seconds, 10)}
	p.hits = []string{h.hit + strconv.FormatInt(l.TTL/1000-seconds, 10)}
	setQuick(p)
}

// setQuick lets answerFromMemory and answerFromRedis write a page, if its key tells the scheme.
func setQuick(p *readyPage) {
	if p.tellsScheme {
		p.quick = p.until
	}
}

// formOf is what a kind of client gets of an entry, but for what depends on the time.
func formOf(client *http.Request, e *storage.Entry, plain []byte, size int) *storage.Form {
	own := make(http.Header, len(e.Header)+4)
	for name, lines := range e.Header {
		own[name] = lines
	}
	f := &storage.Form{}
	f.Body, _ = represent(own, client, e, plain) // decoded already
	own["Content-Length"] = []string{strconv.Itoa(size)}
	f.Tag = own.Get("Etag")
	for name, lines := range own {
		f.Names = append(f.Names, name)
		f.Values = append(f.Values, lines)
	}
	return f
}

// The two kinds of clients.
var (
	plainClient = &http.Request{Header: http.Header{}}
	zipClient   = &http.Request{Header: http.Header{"Accept-Encoding": []string{"gzip"}}}
)

// bodyOf returns the body of a form of a page whose body has just come from Redis, nil if it cannot
// be decrypted or decoded.
func bodyOf(ready *storage.Ready, form *storage.Form, stored []byte) []byte {
	if form != ready.Stored {
		return decodedBody(ready, form, stored)
	}
	if s := ready.Entry.Sealed; s != nil {
		return storage.Opened(s, stored)
	}
	return stored
}

// decodedBody does so for clients that do not get the stored form.
func decodedBody(ready *storage.Ready, form *storage.Form, stored []byte) []byte {
	if form.Body != nil { // of the same stored body
		return form.Body
	}
	if s := ready.Entry.Sealed; s != nil {
		if stored = storage.Opened(s, stored); stored == nil {
			return nil
		}
	}
	e := &storage.Entry{Body: stored, Plain: ready.Entry.Plain}
	body, _ := e.Decoded() // nil with an error
	return body
}
