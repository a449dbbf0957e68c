//go:build ignore

package cache

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// A hit that needs no thought is answered from a table of what was written to clients
// that sent the same. Its way only ever does what the long way would do for the same
// request, and knows nothing of anything else.
//
// Each call of a function costs an interpreter as much as the function has expressions,
// whether they are evaluated or not, and a call of a method three times as much. So
// functions on this way are short, what is rare is in others, and none is a method.

// What became of hot.
const (
	hotNo   = 0
	hotYes  = 1
	hotLate = 2 // Redis did not answer in time, and is not to be asked again for this request
)

// hotPage is what clients of one kind get of a page for as long as it is fresh or, if that
// is longer than what numbered has texts for, within one second. It is never changed.
type hotPage struct {
	ready    *storage.Ready
	form     *storage.Form
	near     string // the key by which the tier has it
	rule     *rule.Rule
	ages     []string // Age by the seconds since from
	hits     []string // Cache-Status by the seconds that are left of the freshness lifetime
	left     int64    // at from
	from     int64    // ns after storage.Started, as until
	until    int64
	licensed *int64            // Until of its license
	counted  *int64            // Hits of what is ready
	served   *int64            // Served of the handler's view
	names    []string          // of form
	values   [][]string        // of form
	body     []byte            // of form; nil: it is in Redis alone
	told     bool              // it is for requests that say by which scheme they came
	quick    int64             // until, if it is told, else 0
	remote   bool              // it is in Redis alone
	decoded  bool              // it has to be decoded each time
	ask      *storage.Exchange // if remote: by which it is asked for; nil: QuickRemote does it

	varies   bool // by cookies, language or header: this only says so, there is one for each combination
	asks     bool // it is another one for those who agree to optional cookies
	personal bool // it varies by the session, or the context
}

// awkward are the fields of requests that take thought. An If-None-Match does not.
var awkward = []string{
	"Range", "Upgrade", "Authorization", "If-Match", "If-Unmodified-Since", "X-Openerp-Session-Id",
}

// telling are the fields of requests that decide on the answer of the table, beside
// cookies and languages.
var telling = []string{"Accept", "Accept-Encoding", "X-Forwarded-Host", "X-Forwarded-Proto"}

// usual are fields of requests that have no part in what the table answers with, those
// that most requests have. ServeHTTP makes the key of all others, so that fields that take
// thought make one that is in no table; whatever else is not here does, too, and costs hotKey.
var usual = map[string]bool{
	"Accept-Language": true, "Alt-Used": true, "Baggage": true, "Cdn-Loop": true, "Cf-Connecting-Ip": true, "Cf-Ipcountry": true, "Cf-Ray": true, "Cf-Visitor": true,
	"Connection": true, "Cookie": true, "Dnt": true, "Forwarded": true, "From": true, "Keep-Alive": true, "Origin": true, "Priority": true,
	"Referer": true, "Save-Data": true, "Sec-Ch-Ua": true, "Sec-Ch-Ua-Arch": true, "Sec-Ch-Ua-Bitness": true, "Sec-Ch-Ua-Full-Version-List": true,
	"Sec-Ch-Ua-Mobile": true, "Sec-Ch-Ua-Model": true, "Sec-Ch-Ua-Platform": true, "Sec-Ch-Ua-Platform-Version": true, "Sec-Fetch-Dest": true,
	"Sec-Fetch-Mode": true, "Sec-Fetch-Site": true, "Sec-Fetch-Storage-Access": true, "Sec-Fetch-User": true, "Sec-Gpc": true, "Sec-Purpose": true, "Te": true, "Traceparent": true,
	"Tracestate": true, "True-Client-Ip": true, "Upgrade-Insecure-Requests": true, "User-Agent": true, "Via": true, "X-Amzn-Trace-Id": true,
	"X-Cloud-Trace-Context": true, "X-Correlation-Id": true, "X-Forwarded-For": true, "X-Forwarded-Port": true, "X-Forwarded-Prefix": true, "X-Forwarded-Server": true,
	"X-Odoo-Cache-Edge": true, "X-Real-Ip": true, "X-Request-Id": true, "X-Requested-With": true,
}

// usualFor returns the usual fields of a handler: those that it has in its keys are none.
func usualFor(telling []string) map[string]bool {
	fields := map[string]bool{}
	for name := range usual {
		if !hasName(telling, name) {
			fields[name] = true
		}
	}
	return fields
}

// hotKey is what of a GET decides on its answer, but for cookies and languages; "" if it
// has anything that takes thought.
func hotKey(h *Handler, r *http.Request) string {
	in := r.Header
	for _, name := range awkward {
		if in[name] != nil {
			return ""
		}
	}
	if r.ContentLength != 0 || in["If-Modified-Since"] != nil && in["If-None-Match"] == nil || r.URL.Opaque != "" || withoutScheme(r) {
		return ""
	}
	kept := http.Header{}
	for _, name := range h.telling {
		if lines := in[name]; lines != nil {
			kept[name] = lines
		}
	}
	fields := &strings.Builder{}
	_ = kept.WriteSubset(fields, nil)
	return strings.Join([]string{h.prefix, r.Host, r.URL.RequestURI(), fields.String()}, "\n")
}

// withoutScheme reports whether a request's key would not tell that it came over TLS.
func withoutScheme(r *http.Request) bool {
	return r.TLS != nil && r.Header["X-Forwarded-Proto"] == nil
}

// hot answers a request of a key for which there is a page in the table, and in memory.
func hot(h *Handler, rw http.ResponseWriter, r *http.Request, key string, p *hotPage) int {
	now := int64(time.Since(storage.Started))
	out := rw.Header()
	if now >= p.quick || now >= atomic.LoadInt64(p.licensed) || r.Header["Cookie"] != nil || out["Vary"] != nil {
		return lessHot(h, rw, r, key, p)
	}
	atomic.AddInt64(p.counted, 1)
	atomic.AddInt64(p.served, 1)
	for i, name := range p.names {
		out[name] = p.values[i]
	}
	second := (now - p.from) / 1e9
	left := p.left - second
	out["Age"] = p.ages[second : second+1 : second+1]
	out["Cache-Status"] = p.hits[left : left+1 : left+1]
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(p.body) // the client's connection; nobody is left to tell
	return hotYes
}

// notInTable tries what else may be ready for a request: it may be known to be none for
// the cache, or have fields that are not usual.
func notInTable(h *Handler, rw http.ResponseWriter, r *http.Request, key string) int {
	if _, found := h.bypassed.Load(key); found {
		return hotBypass(h, rw, r) // its key holds no other fields than those of keepBypass
	}
	return unusual(h, rw, r)
}

// unusual looks for what is ready for a request by those of its fields that tell.
func unusual(h *Handler, rw http.ResponseWriter, r *http.Request) int {
	if len(r.Header) > h.s.Limits.RequestFields {
		return hotNo
	}
	key := hotKey(h, r)
	if key == "" {
		return hotNo
	}
	x, found := h.table.Load(key)
	if found {
		p, _ := x.(*hotPage)
		return lessHot(h, rw, r, key, p)
	}
	if _, found = h.bypassed.Load(key); found {
		if clean(h, r) {
			return hotNo
		}
		return hotBypass(h, rw, r)
	}
	if h.away.Load() != 0 {
		return awayUnknown(h, rw, r)
	}
	return hotNo
}

// hotBypass hands a request on of which it is known that the cache has no part in those of
// its key.
func hotBypass(h *Handler, rw http.ResponseWriter, r *http.Request) int {
	if r.Header["Cookie"] != nil {
		return hotNo
	}
	announce(h, r)
	passByRule(h, rw, r)
	return hotYes
}

// keepBypass remembers that the cache has no part in requests like this one.
func keepBypass(h *Handler, r *http.Request) {
	if h.s.Debug || r.Method != http.MethodGet {
		return
	}
	key := hotKey(h, r)
	if key == "" || len(key) > maxAddress {
		return
	}
	if _, known := h.bypassed.LoadOrStore(key, true); !known && atomic.AddInt64(h.bypasses, 1) > int64(h.identities.max) {
		atomic.StoreInt64(h.bypasses, 0)
		h.bypassed.Range(func(key, _ any) bool { h.bypassed.Delete(key); return true })
	}
}

// hotRemote answers with a page that is in Redis alone. The position of the purges comes
// with it.
func hotRemote(h *Handler, rw http.ResponseWriter, r *http.Request, key string, p *hotPage) int {
	t := time.Now()
	now := int64(t.Sub(storage.Started))
	out := rw.Header()
	if now >= p.quick || p.ask == nil || r.Header["Cookie"] != nil || out["Vary"] != nil {
		return lessHot(h, rw, r, key, p)
	}
	body, late := storage.Fetch(h.shared.tier, h.view, p.ask, t)
	if body == nil {
		return hotUnfetched(h, rw, r, p, late)
	}
	if p.decoded {
		if body = bodyOf(p.ready, p.form, body); body == nil {
			return hotNo
		}
	}
	atomic.AddInt64(p.counted, 1)
	atomic.AddInt64(p.served, 1)
	for i, name := range p.names {
		out[name] = p.values[i]
	}
	second := (now - p.from) / 1e9
	left := p.left - second
	out["Age"] = p.ages[second : second+1 : second+1]
	out["Cache-Status"] = p.hits[left : left+1 : left+1]
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(body) //nolint:gosec // what the origin has sent
	return hotYes
}

// hotUnfetched goes on where Redis has not answered with a page as it was.
func hotUnfetched(h *Handler, rw http.ResponseWriter, r *http.Request, p *hotPage, late bool) int {
	if !late && h.away.Load() != 0 {
		return away(h, rw, r, p.rule)
	}
	return outcome(late)
}

// lessHot answers with a page of the table where more has to be looked at.
func lessHot(h *Handler, rw http.ResponseWriter, r *http.Request, key string, p *hotPage) int {
	t := time.Now()
	now := int64(t.Sub(storage.Started))
	if withoutScheme(r) {
		return hotNo
	}
	if h.away.Load() != 0 && now >= atomic.LoadInt64(p.licensed) {
		return away(h, rw, r, p.rule)
	}
	var who *sender
	if cookie := r.Header["Cookie"]; p.varies || cookie != nil {
		var tried int
		if p, who, key, tried = hotFor(h, r, p, key, cookie); p == nil {
			return tried
		}
	}
	if now >= atomic.LoadInt64(p.licensed) {
		if known, late := confirmed(h, p); !known {
			return outcome(late)
		}
	}
	if now >= p.until {
		if p = renewed(h, key, p, t); p == nil {
			return hotNo
		}
	}
	in := r.Header
	if p.remote || in["If-None-Match"] != nil || in["Cache-Control"] != nil || in["Pragma"] != nil || rw.Header()["Vary"] != nil {
		return hotSpecial(h, rw, r, p, who, t)
	}
	write(rw, p, p.body, now)
	return hotYes
}

// write answers with a page, at ns after storage.Started.
func write(rw http.ResponseWriter, p *hotPage, body []byte, now int64) {
	setFields(rw.Header(), p, now)
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(body) //nolint:gosec // what the origin has sent
}

// setFields sets the fields of a page, at ns after storage.Started.
func setFields(out http.Header, p *hotPage, now int64) {
	atomic.AddInt64(p.counted, 1)
	atomic.AddInt64(p.served, 1)
	for i, name := range p.names {
		out[name] = p.values[i]
	}
	if now < p.from { // since it was made ready
		now = p.from
	}
	second := (now - p.from) / 1e9
	left := p.left - second
	out["Age"] = p.ages[second : second+1 : second+1]
	out["Cache-Status"] = p.hits[left : left+1 : left+1]
}

// outcome is that of a request for which nothing is ready.
func outcome(late bool) int {
	if late {
		return hotLate
	}
	return hotNo
}

// confirmed reports whether what is known of purges is as it was when a page was made
// ready, asking for it if that has not been done for too long.
func confirmed(h *Handler, p *hotPage) (known, late bool) {
	if atomic.LoadInt64(p.licensed) == 0 {
		return false, false
	}
	if p.remote { // it is asked for with the page
		return true, false
	}
	if known, late = h.shared.tier.Confirm(h.view); !known {
		return false, late
	}
	return atomic.LoadInt64(p.licensed) != 0, false
}

// renewed puts a page for another second into the table. It returns nil if it has to be
// looked up again.
func renewed(h *Handler, key string, before *hotPage, t time.Time) *hotPage {
	r := before.ready
	now := t.UnixMilli()
	if now >= r.Until || now < r.Entry.Life.Born {
		return nil
	}
	p := *before
	timed(h, &p, t)
	if !kept(h, key, &p) {
		return nil
	}
	return &p
}

// kept puts a page into the table. It reports false if what is ready has gone, perhaps
// just now.
func kept(h *Handler, key string, p *hotPage) bool {
	h.table.Store(key, p)
	if !storage.Still(h.shared.tier, p.near, p.ready, key) {
		h.table.Delete(key)
		return false
	}
	return true
}

// timed sets what depends on the time, which is t. From then on a clock counts that only
// goes forward.
func timed(h *Handler, p *hotPage, t time.Time) {
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
		quicken(p)
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
	quicken(p)
}

// quicken lets hot and hotRemote answer with a page if its key tells the scheme.
func quicken(p *hotPage) {
	if p.told {
		p.quick = p.until
	}
}

// hotSpecial answers with a page that is at hand in ways that are less common.
// who is given if it has to be asked for, with the page.
func hotSpecial(h *Handler, rw http.ResponseWriter, r *http.Request, p *hotPage, who *sender, t time.Time) int {
	now := int64(t.Sub(storage.Started))
	in, out := r.Header, rw.Header()
	if p.rule.ClientDirectives && (len(in["Cache-Control"]) > 0 || len(in["Pragma"]) > 0) {
		return hotNo
	}
	// A middleware in front, such as compress, has set it: pages that do not set the
	// same go the long way.
	if vary := out["Vary"]; len(vary) > 0 && (p.ready.Entry.Plain == 0 || len(vary) > 1 || vary[0] != "Accept-Encoding") {
		return hotNo
	}
	conditions := in["If-None-Match"]
	if len(conditions) > 0 && (len(conditions) > 1 || conditions[0] != p.form.Tag || p.form.Tag == "") {
		return hotNo
	}
	body := p.body
	if p.remote {
		stored, late := remoteFor(h, r, p, who)
		if stored == nil {
			return outcome(late)
		}
		if len(conditions) == 0 {
			if body = bodyOf(p.ready, p.form, stored); body == nil {
				return hotNo
			}
		}
	}
	if len(conditions) > 0 {
		setFields(out, p, now)
		notModified(rw, out)
		return hotYes
	}
	write(rw, p, body, now)
	return hotYes
}

// remoteFor gets a page that is in Redis alone, for a session if there is one to be asked
// for. The body is nil if the page is not as it was.
func remoteFor(h *Handler, r *http.Request, p *hotPage, who *sender) (stored []byte, late bool) {
	t := time.Now() // there may have been an exchange before
	if who == nil {
		if p.ask != nil {
			return storage.Fetch(h.shared.tier, h.view, p.ask, t)
		}
		return clustered(h, p, nil, t)
	}
	if p.ask != nil {
		stored, late = storage.FetchFor(h.shared.tier, h.view, p.ask, who.session, who.score, t)
	} else {
		stored, late = clustered(h, p, who, t)
	}
	if stored == nil && !late { // perhaps since the session's score is another one
		remember(h.identities, r.Header["Cookie"][0], scored(who, ""))
	}
	return stored, late
}

// clustered is remoteFor where Fetch cannot ask.
func clustered(h *Handler, p *hotPage, who *sender, t time.Time) (stored []byte, late bool) {
	var ready *storage.Ready
	if who == nil {
		ready, stored, late = h.shared.tier.QuickRemote(h.view, p.near, t.UnixMilli())
	} else {
		ready, stored, late = h.shared.tier.QuickRemoteFor(h.view, p.near, who.session, who.score, t.UnixMilli())
	}
	if ready == nil || ready != p.ready {
		return nil, late
	}
	return stored, false
}

// sender is what a Cookie field says of who has sent it.
type sender struct {
	session string // its hash; empty: there is none
	told    bool   // the addon has said that pages are rendered for nobody in particular
	agrees  bool   // to optional cookies
	rest    string // the field without the session
	score   string // by which the session was last known to be a default one; empty: it was not asked for
}

// scored returns a sender with another score: what is remembered is never changed.
func scored(who *sender, score string) *sender {
	s := *who
	s.score = score
	return &s
}

// hotFor finds the page for a request with cookies, or of a page that varies by them.
// It returns none for a visitor who may have to get another one.
// ask is given if the session has still to be asked for.
func hotFor(h *Handler, r *http.Request, p *hotPage, key string, cookie []string) (found *hotPage, ask *sender, at string, tried int) {
	var who *sender
	switch len(cookie) {
	case 0:
		who = &sender{}
	case 1:
		who = senderOf(h, r, cookie[0])
	}
	if who == nil || p.personal && len(cookie) > 0 {
		return nil, nil, "", hotNo
	}
	if p.varies {
		key = variedKey(h, r, p.rule, key, who)
		x, known := h.table.Load(key)
		if !known {
			return nil, nil, "", hotNo
		}
		p, _ = x.(*hotPage)
	}
	if p.asks && who.agrees {
		x, known := h.table.Load(consenting + key)
		if !known {
			return nil, nil, "", hotNo
		}
		key = consenting + key
		p, _ = x.(*hotPage)
	}
	if who.session == "" || p.rule.Terms.AnySession {
		return p, nil, key, hotYes
	}
	if !p.rule.Nobody { // nothing that is known of the session counts, see withheld
		if !p.ready.Entry.Life.Public {
			return nil, nil, "", hotNo
		}
		return p, nil, key, hotYes
	}
	if who.told {
		return p, nil, key, hotYes
	}
	if p.remote && who.score != "" {
		return p, who, key, hotYes
	}
	score, known, late := h.shared.tier.QuickSession(h.view, who.session)
	if !known {
		return nil, nil, "", outcome(late)
	}
	if p.remote && score != "" {
		remember(h.identities, cookie[0], scored(who, score))
	}
	return p, nil, key, hotYes
}

// consenting begins the keys of pages for those who agree to optional cookies.
const consenting = "c:"

// senderOf returns what is known of who sends a Cookie field, nil if that takes more
// thought. What was found out is remembered.
func senderOf(h *Handler, r *http.Request, field string) *sender {
	if len(field) > h.s.Limits.RequestBytes {
		return nil
	}
	m := h.identities
	m.mu.Lock()
	who, known := m.senders[field]
	m.mu.Unlock()
	if known {
		return who
	}
	who = h.readSender(r, field)
	remember(m, field, who)
	return who
}

// remember notes what a Cookie field says, unless it is too long.
func remember(m *identities, field string, who *sender) {
	if len(field) > maxAddress {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.senders) >= m.max && m.senders[field] == nil {
		m.senders = map[string]*sender{}
	}
	m.senders[field] = who
}

// readSender is senderOf for a field that is not remembered. The request may not have gone
// through clean.
func (h *Handler) readSender(r *http.Request, field string) *sender {
	if crowded("Cookie", field, h.s.Limits.RequestFields) {
		return nil
	}
	who := &sender{rest: field, agrees: consents(r.Header["Cookie"])}
	if strings.Contains(field, h.s.ContextCookie) {
		if rule.OnlyValue(h.s.ContextCookie, r) != defaultContext {
			return nil
		}
		who.told = true
	}
	if !strings.Contains(field, h.s.Session) {
		return who
	}
	value := rule.OnlyValue(h.s.Session, r)
	if !sessionID.MatchString(value) {
		return nil
	}
	who.session = keys.SessionID(value)
	who.rest = strings.Replace(field, value, "", 1)
	return who
}

// variedKey is the key of a page that varies by cookies or language for a request. A
// request of which it is not known what it gets has one that is in no table.
func variedKey(h *Handler, r *http.Request, ru *rule.Rule, key string, who *sender) string {
	fields := varyFields(ru, r, who.rest)
	m := h.identities
	m.mu.Lock()
	values, known := m.values[fields]
	m.mu.Unlock()
	if !known {
		return ""
	}
	return keyWith(values, key)
}

func keyWith(values, key string) string {
	return "v" + strconv.Itoa(len(values)) + ":" + values + key
}

// bodyOf returns the body of a form of a page whose body has just come from Redis,
// nil if it cannot be decoded.
func bodyOf(ready *storage.Ready, form *storage.Form, stored []byte) []byte {
	if form == ready.Stored {
		return stored
	}
	if form.Body != nil { // of the same stored body
		return form.Body
	}
	e := &storage.Entry{Body: stored, Plain: ready.Entry.Plain}
	body, _ := e.Decoded() // nil with an error
	return body
}

// makeReady makes a page that the long way has found fresh ready for hot.
func makeReady(h *Handler, v *visit) {
	id := v.id
	e := v.entry
	if id.forward != v.r.URL.RawQuery { // one of many addresses of the page, such as each click on an advertisement has
		return
	}
	if v.list != nil || v.soft || e.Status != http.StatusOK || e.Life.NoCache || v.head.Epoch == 0 || len(e.Body) == 0 ||
		(v.context != "" && v.context != defaultContext) || id.campaign || id.byHeader || h.s.Session == "" || h.s.ContextCookie == "" {
		return
	}
	key := ""
	if v.r.Method == http.MethodGet {
		key = hotKey(h, v.r)
	}
	near := h.shared.tier.Near(h.view, v.primary)
	if near == "" || key == "" {
		return
	}
	plain := e.Plain > 0 && !policy.AcceptsGzip(v.r.Header["Accept-Encoding"])
	r := h.shared.tier.Prepared(near, e, v.head.Seq, plain)
	if r == nil {
		if r = prepare(h, near, v, plain); r == nil {
			return
		}
	}
	atomic.AddInt64(r.Hits, 1)
	if !h.s.Debug { // else each hit goes the long way, which writes its line
		heat(h, v, near, key, r, plain)
	}
}

// prepare makes a visit's entry ready. It returns nil if it cannot be kept so.
func prepare(h *Handler, near string, v *visit, plain bool) *storage.Ready {
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
	if !h.shared.tier.Prepare(near, r) {
		return nil
	}
	return r
}

// heat puts a page into the table for requests like this one.
func heat(h *Handler, v *visit, near, key string, r *storage.Ready, plain bool) {
	p := &hotPage{ready: r, form: r.Stored, near: near, rule: v.rule, remote: r.Remote(), asks: !v.consent && hasName(r.Entry.Tags, consentTag)}
	if plain {
		p.form = r.Plain
	}
	if v.now >= r.Until || p.form == nil {
		return
	}
	license := h.view.License(r)
	if license == nil {
		return
	}
	p.licensed = &license.Until
	p.served = h.view.Served
	p.counted = r.Hits
	p.names = p.form.Names
	p.values = p.form.Values
	p.body = p.form.Body
	p.told = v.r.Header["X-Forwarded-Proto"] != nil
	p.decoded = p.form != r.Stored && p.body == nil
	if p.remote {
		p.ask = h.shared.tier.Exchange(h.view, r, license, p.body)
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
		keepHot(h, key, &hotPage{
			ready: r, near: near, rule: v.rule, varies: true, licensed: p.licensed,
			personal: hasName(v.rule.Cookies, h.s.Session) || hasName(v.rule.Cookies, h.s.ContextCookie),
		})
		key = keyWith(values, key)
	}
	if v.consent {
		key = consenting + key
	}
	timed(h, p, time.Now())
	keepHot(h, key, p)
}

// keepHot puts a page into the table, for as long as the tier has it.
func keepHot(h *Handler, key string, p *hotPage) {
	if len(key) > maxAddress {
		return
	}
	if h.shared.tier.Heat(p.near, p.ready, key) {
		kept(h, key, p)
	}
}

// The two kinds of clients.
var (
	plainClient = &http.Request{Header: http.Header{}}
	zipClient   = &http.Request{Header: http.Header{"Accept-Encoding": []string{"gzip"}}}
)

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
