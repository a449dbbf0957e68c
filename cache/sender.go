package cache

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// sender is what a Cookie field says of who has sent it.
type sender struct {
	session   string        // its hash; empty: there is none
	inDefault bool          // the addon has said that pages are rendered for nobody in particular
	agrees    bool          // to optional cookies
	rest      string        // the field without the session
	known     *purges.Known // of the session; nil: it was not asked for
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
	if m.senders == nil || len(m.senders) >= m.max && m.senders[field] == nil {
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

// withKnown returns a sender of whose session something is known: what is remembered is never
// changed.
func withKnown(who *sender, known *purges.Known) *sender {
	s := *who
	s.known = known
	return &s
}

// variedBy begins the key of a page that varies by cookies or language for a request. It is
// empty if it is not known what that gets.
func variedBy(h *Handler, r *http.Request, ru *rule.Rule, who *sender) string {
	fields := varyFields(ru, r, who.rest)
	m := h.identities
	m.mu.Lock()
	values, known := m.values[fields]
	m.mu.Unlock()
	if !known {
		return ""
	}
	return beginning(values)
}

// beginning is what the keys of pages begin with that vary so.
func beginning(values string) string {
	return "v" + strconv.Itoa(len(values)) + ":" + values
}

// consenting begins the keys of pages for those who agree to optional cookies.
const consenting = "c:"
