package cache

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
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
	if lines := r.Header["Cookie"]; p.varies || lines != nil {
		var tried int
		if p, who, key, tried = hotFor(h, r, p, key, lines); p == nil {
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

// hotFor finds the page for a request with cookies, or of a page that varies by them.
// It returns none for a visitor who may have to get another one.
// ask is given if the session has still to be asked for.
func hotFor(h *Handler, r *http.Request, p *hotPage, key string, lines []string) (found *hotPage, ask *sender, at string, tried int) {
	var who *sender
	switch len(lines) {
	case 0:
		who = &sender{}
	case 1:
		who = senderOf(h, r, lines[0])
	}
	if who == nil || p.personal && len(lines) > 0 {
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
		remember(h.identities, lines[0], scored(who, score))
	}
	return p, nil, key, hotYes
}
