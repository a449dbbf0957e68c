package cache

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// sender is what a Cookie field says of who has sent it.
type sender struct {
	session   string // its hash; empty: there is none
	inDefault bool   // the addon has said that pages are rendered for nobody in particular
	agrees    bool   // to optional cookies
	rest      string // the field without the session
	score     string // by which the session was last known to be a default one; empty: it was not asked for
}

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
	rememberSender(m, field, who)
	return who
}

// rememberSender notes what a Cookie field says, unless it is too long.
func rememberSender(m *identities, field string, who *sender) {
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

// readSender reads a Cookie field. The request may not have gone through clean.
func (h *Handler) readSender(r *http.Request, field string) *sender {
	if crowded("Cookie", field, h.s.Limits.RequestFields) {
		return nil
	}
	who := &sender{rest: field, agrees: odoo.Consents(r.Header["Cookie"])}
	if strings.Contains(field, h.s.ContextCookie) {
		if cookie.Only(h.s.ContextCookie, r) != odoo.DefaultContext {
			return nil
		}
		who.inDefault = true
	}
	if !strings.Contains(field, h.s.Session) {
		return who
	}
	value := cookie.Only(h.s.Session, r)
	if !odoo.SessionID.MatchString(value) {
		return nil
	}
	who.session = keys.SessionID(value)
	who.rest = strings.Replace(field, value, "", 1)
	return who
}

// withScore returns a sender with another score: what is remembered is never changed.
func withScore(who *sender, score string) *sender {
	s := *who
	s.score = score
	return &s
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

// consenting begins the keys of pages for those who agree to optional cookies.
const consenting = "c:"
