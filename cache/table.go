package cache

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/redis"
	"github.com/odoocache/odoocache/cache/tier"
)

// The hit table maps the fields of a request that decide on its answer (tableKey) to a page
// that is ready to be written. It only answers what the long way would have answered.
//
// Each call of a function costs an interpreter as much as the function has expressions,
// whether they are evaluated or not, and a call of a method three times as much. So
// functions on this way are short, what is rare is in others, and none is a method.

// outcome says what became of a request that was looked for in the table.
type outcome int

const (
	outcomeGoOn outcome = 0 // nothing was answered: the long way goes on
	outcomeDone outcome = 1 // it was answered, or handed on
	outcomeLate outcome = 2 // Redis did not answer in time, and is not to be asked again for this request
)

// readyPage is a page ready to be written to clients of one kind. It is valid until `until`:
// the end of its freshness, or of the current second where Age has no prepared text. It is
// never changed.
type readyPage struct {
	ready       *storage.Ready
	form        *storage.Form
	tierKey     string // the key by which the tier has it
	rule        *rule.Rule
	ages        []string // Age by the seconds since from
	hits        []string // Cache-Status by the seconds that are left of the freshness lifetime
	left        int64    // at from
	from        int64    // ns after storage.Started, as until
	until       int64
	licensed    *int64            // Until of its license
	counted     *int64            // Hits of what is ready
	served      *int64            // Served of the handler's tenant
	names       []string          // of form
	values      [][]string        // of form
	body        []byte            // of form; nil: it is in Redis alone
	tellsScheme bool              // it is for requests that say by which scheme they came
	quick       int64             // until, if it is told, else 0
	remote      bool              // it is in Redis alone
	decoded     bool              // it has to be decoded or decrypted each time
	exchange    *storage.Exchange // if remote: by which it is asked for; nil: Tier.Quick does it

	varies    bool // by cookies, language or header: this only says so, there is one for each combination
	byConsent bool // it is another one for those who agree to optional cookies
	personal  bool // it varies by the session, or the context
}

// answerFromMemory writes a page of the table that is in memory. The answer is not from before
// a purge as long as now is before p.licensed: no purge is known, and what is known is fresh;
// see purges.View.confirm, which prolongs it, and revoke, which ends it.
func answerFromMemory(h *Handler, rw http.ResponseWriter, r *http.Request, key string, p *readyPage) outcome {
	now := int64(time.Since(storage.Started))
	out := rw.Header()
	if now >= p.quick || now >= atomic.LoadInt64(p.licensed) || r.Header["Cookie"] != nil || out["Vary"] != nil {
		return answerChecked(h, rw, r, key, p)
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
	return outcomeDone
}

// answerVisitor writes a page of the table that varies, where one glance tells which one the
// visitor gets.
func answerVisitor(h *Handler, rw http.ResponseWriter, r *http.Request, key string, p *readyPage) outcome {
	x, found := h.glances.Load(glanceKey(p.rule, r.Header))
	if !found {
		return answerChecked(h, rw, r, key, p)
	}
	g, _ := x.(*glance)
	if x, found = h.table.Load(g.values + key); !found {
		return answerChecked(h, rw, r, key, p)
	}
	q, _ := x.(*readyPage)
	t := time.Now()
	now := int64(t.Sub(storage.Started))
	out := rw.Header()
	if now >= q.quick || now >= atomic.LoadInt64(g.until) || now >= atomic.LoadInt64(g.licensed) || q.byConsent && g.agrees || out["Vary"] != nil {
		return answerChecked(h, rw, r, key, p)
	}
	if q.remote {
		return writeFromRedis(h, rw, r, q, t)
	}
	if now >= atomic.LoadInt64(q.licensed) {
		return answerChecked(h, rw, r, key, p)
	}
	atomic.AddInt64(q.counted, 1)
	atomic.AddInt64(q.served, 1)
	for i, name := range q.names {
		out[name] = q.values[i]
	}
	second := (now - q.from) / 1e9
	left := q.left - second
	out["Age"] = q.ages[second : second+1 : second+1]
	out["Cache-Status"] = q.hits[left : left+1 : left+1]
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(q.body) // the client's connection; nobody is left to tell
	return outcomeDone
}

// notInTable tries what else may be ready for a request: it may be known to be none for
// the cache, or have fields that are not usual.
func notInTable(h *Handler, rw http.ResponseWriter, r *http.Request, key string) outcome {
	if _, found := h.bypassed.Load(key); found {
		return passKnownBypass(h, rw, r) // its key holds no other fields than those of rememberBypass
	}
	return answerUncommon(h, rw, r)
}

// answerUncommon looks a request up in the table that has fields which most have not.
func answerUncommon(h *Handler, rw http.ResponseWriter, r *http.Request) outcome {
	if len(r.Header) > h.s.Limits.RequestFields {
		return outcomeGoOn
	}
	key := tableKey(h, r)
	if key == "" {
		return outcomeGoOn
	}
	x, found := h.table.Load(key)
	if found {
		p, _ := x.(*readyPage)
		return answerChecked(h, rw, r, key, p)
	}
	if _, found = h.bypassed.Load(key); found {
		if clean(h, r) {
			return outcomeGoOn
		}
		return passKnownBypass(h, rw, r)
	}
	if h.openUntil.Load() != 0 {
		return passUnaskedUnknown(h, rw, r)
	}
	return outcomeGoOn
}

// answerFromRedis writes a page whose body is in Redis alone. The position of the purges comes
// with the body, in one exchange.
func answerFromRedis(h *Handler, rw http.ResponseWriter, r *http.Request, key string, p *readyPage) outcome {
	t := time.Now()
	if int64(t.Sub(storage.Started)) >= p.quick || r.Header["Cookie"] != nil || rw.Header()["Vary"] != nil {
		return answerChecked(h, rw, r, key, p)
	}
	return writeFromRedis(h, rw, r, p, t)
}

// writeFromRedis writes such a page to whoever gets it for certain.
func writeFromRedis(h *Handler, rw http.ResponseWriter, r *http.Request, p *readyPage, t time.Time) outcome {
	if p.exchange == nil {
		return answerConditional(h, rw, r, p, t)
	}
	body, got := redis.Body(p.exchange, t)
	if body == nil {
		return notFetched(h, rw, r, p, got)
	}
	if p.decoded {
		if body = bodyOf(p.ready, p.form, body); body == nil {
			return outcomeGoOn
		}
	}
	atomic.AddInt64(p.counted, 1)
	atomic.AddInt64(p.served, 1)
	out := rw.Header()
	for i, name := range p.names {
		out[name] = p.values[i]
	}
	second := (int64(t.Sub(storage.Started)) - p.from) / 1e9
	left := p.left - second
	out["Age"] = p.ages[second : second+1 : second+1]
	out["Cache-Status"] = p.hits[left : left+1 : left+1]
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(body) //nolint:gosec // what the origin has sent
	return outcomeDone
}

// notFetched says how to go on where Redis did not answer with the page as it was. got is
// what became of the exchange.
func notFetched(h *Handler, rw http.ResponseWriter, r *http.Request, p *readyPage, got resp.Outcome) outcome {
	late := tier.NotFetched(h.shared.tier, h.tenant, got)
	if !late && h.openUntil.Load() != 0 {
		return passUnasked(h, rw, r, p.rule)
	}
	return missOutcome(late)
}

// answerChecked writes a page of the table to a request that has cookies or uncommon fields,
// or after its license or its time has run out.
func answerChecked(h *Handler, rw http.ResponseWriter, r *http.Request, key string, p *readyPage) outcome {
	t := time.Now()
	now := int64(t.Sub(storage.Started))
	if untoldScheme(r) {
		return outcomeGoOn
	}
	if h.openUntil.Load() != 0 && now >= atomic.LoadInt64(p.licensed) {
		return passUnasked(h, rw, r, p.rule)
	}
	if lines := r.Header["Cookie"]; p.varies || lines != nil {
		var tried outcome
		if p, key, tried = pageFor(h, r, p, key, lines); p == nil {
			return tried
		}
	}
	if now >= atomic.LoadInt64(p.licensed) {
		if known, late := confirmed(h, p); !known {
			return missOutcome(late)
		}
	}
	if now >= p.until {
		if p = renewPage(h, key, p, t); p == nil {
			return outcomeGoOn
		}
	}
	in := r.Header
	if p.remote || in["If-None-Match"] != nil || in["Cache-Control"] != nil || in["Pragma"] != nil || rw.Header()["Vary"] != nil {
		return answerConditional(h, rw, r, p, t)
	}
	write(rw, p, p.body, now)
	return outcomeDone
}

// write answers with a page, at ns after storage.Started.
func write(rw http.ResponseWriter, p *readyPage, body []byte, now int64) {
	setFields(rw.Header(), p, now)
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(body) //nolint:gosec // what the origin has sent
}

// setFields sets the fields of a page, at ns after storage.Started.
func setFields(out http.Header, p *readyPage, now int64) {
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

// missOutcome says how to go on where nothing is ready: late if Redis did not answer in time.
func missOutcome(late bool) outcome {
	if late {
		return outcomeLate
	}
	return outcomeGoOn
}

// confirmed reports whether what is known of purges is as it was when a page was made
// ready, asking for it if that has not been done for too long.
func confirmed(h *Handler, p *readyPage) (known, late bool) {
	if atomic.LoadInt64(p.licensed) == 0 {
		return false, false
	}
	if p.remote { // it is asked for with the page
		return true, false
	}
	if known, late = h.shared.tier.Confirm(h.tenant); !known {
		return false, late
	}
	return atomic.LoadInt64(p.licensed) != 0, false
}

// answerConditional writes a page, or 304, to a request with conditions or directives, or of a
// page that is in Redis alone.
func answerConditional(h *Handler, rw http.ResponseWriter, r *http.Request, p *readyPage, t time.Time) outcome {
	now := int64(t.Sub(storage.Started))
	in, out := r.Header, rw.Header()
	if p.rule.ClientDirectives && (len(in["Cache-Control"]) > 0 || len(in["Pragma"]) > 0) {
		return outcomeGoOn
	}
	// A middleware in front, such as compress, has set it: pages that do not set the
	// same go the long way.
	if vary := out["Vary"]; len(vary) > 0 && (p.ready.Entry.Plain == 0 || len(vary) > 1 || vary[0] != "Accept-Encoding") {
		return outcomeGoOn
	}
	conditions := in["If-None-Match"]
	if len(conditions) > 0 && (len(conditions) > 1 || conditions[0] != p.form.Tag || p.form.Tag == "") {
		return outcomeGoOn
	}
	body := p.body
	if p.remote {
		stored, late := bodyFromRedis(h, p)
		if stored == nil {
			return missOutcome(late)
		}
		if p.decoded || len(conditions) == 0 { // else it is known to be as it was
			if body = bodyOf(p.ready, p.form, stored); body == nil {
				return outcomeGoOn
			}
		}
	}
	if len(conditions) > 0 {
		setFields(out, p, now)
		notModified(rw, out)
		return outcomeDone
	}
	write(rw, p, body, now)
	return outcomeDone
}

// bodyFromRedis gets the body of a page that is in Redis alone. It is nil if the page is not
// as it was.
func bodyFromRedis(h *Handler, p *readyPage) (stored []byte, late bool) {
	t := time.Now() // there may have been an exchange before
	if p.exchange == nil {
		return bodyFromCluster(h, p, t)
	}
	stored, got := redis.Body(p.exchange, t)
	if stored == nil {
		return nil, tier.NotFetched(h.shared.tier, h.tenant, got)
	}
	return stored, false
}

// bodyFromCluster gets the body of a page whose exchange could not be prepared: Redis Cluster
// moves keys between nodes.
func bodyFromCluster(h *Handler, p *readyPage, t time.Time) (stored []byte, late bool) {
	ready, stored, late := h.shared.tier.Quick(h.tenant, p.tierKey, t.UnixMilli())
	if ready == nil || ready != p.ready {
		return nil, late
	}
	return stored, false
}

// pageFor finds the page of the table for a request with cookies, or of a page that varies.
// It returns none for a visitor who may have to get another one.
func pageFor(h *Handler, r *http.Request, p *readyPage, key string, lines []string) (found *readyPage, at string, tried outcome) {
	var who *sender
	switch len(lines) {
	case 0:
		who = &sender{}
	case 1:
		who = senderOf(h, r, lines[0])
	}
	if who == nil || p.personal && len(lines) > 0 {
		return nil, "", outcomeGoOn
	}
	values := ""
	if p.varies {
		if values = variedBy(h, r, p.rule, who); values == "" {
			return nil, "", outcomeGoOn
		}
		key = values + key
		x, known := h.table.Load(key)
		if !known {
			return nil, "", outcomeGoOn
		}
		p, _ = x.(*readyPage)
	}
	if p.byConsent && who.agrees {
		x, known := h.table.Load(consenting + key)
		if !known {
			return nil, "", outcomeGoOn
		}
		key = consenting + key
		p, _ = x.(*readyPage)
	}
	known := always
	if who.session != "" && !p.rule.Terms.AnySession {
		if known, tried = sessionFor(h, p, who, lines[0]); tried != outcomeDone {
			return nil, "", tried
		}
	}
	if values != "" {
		rememberGlance(h, r, p.rule, values, who, known)
	}
	return p, key, outcomeDone
}

// sessionFor decides whether a page is for a visitor with a session. If it is, and others of its
// rule are, too, as long as the session is what it is, it returns what says so.
func sessionFor(h *Handler, p *readyPage, who *sender, field string) (known *purges.Known, tried outcome) {
	if !p.rule.Nobody { // nothing that is known of the session counts, see withheld
		if !p.ready.Entry.Life.Public {
			return nil, outcomeGoOn
		}
		return nil, outcomeDone
	}
	if who.inDefault {
		return always, outcomeDone
	}
	known = who.known
	if known == nil || !purges.Counts(known, int64(time.Since(storage.Started))) || !storage.GivesNobodys(known.Score, p.rule.Evidence, nowMS()) {
		gives, late := false, false
		if known, gives, late = tier.KnownSession(h.shared.tier, h.tenant, who.session, p.rule.Evidence); !gives {
			return nil, missOutcome(late)
		}
		if known != who.known {
			rememberSender(h.identities, field, withKnown(who, known))
		}
	}
	return known, outcomeDone
}
