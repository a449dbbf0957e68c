package origin

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Odoo's tokens are made with it
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A session is kept only once a request has changed it, as Odoo does.
type session struct {
	login string // empty for an anonymous visitor
	cart  int    // pieces in the cart
	order int
	seen  map[string]bool
}

// A visit is one request's view of its visitor.
type visit struct {
	sid   string
	fresh bool // the request had no session: its answer sets one
	dirty bool // the request changed the session: its answer sets it again
	lang  bool // the request had no frontend_lang
	base  string
	now   time.Time

	login string
	cart  int
	order int
}

// special reports whether pages for this visitor differ from everyone's.
func (v *visit) special() bool { return v.login != "" || v.cart > 0 }

var sessionRe = regexp.MustCompile(`^[A-Za-z0-9_-]{84}$`)

func (o *Origin) visit(r *http.Request) *visit {
	v := &visit{base: base(r), lang: true, now: time.Now()}
	if c, err := r.Cookie("session_id"); err == nil && sessionRe.MatchString(c.Value) {
		v.sid = c.Value
	} else {
		v.sid, v.fresh = newSessionID(), true
	}
	if c, err := r.Cookie("frontend_lang"); err == nil && c.Value == "en_US" {
		v.lang = false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.sessions[v.sid]; s != nil {
		v.login, v.cart, v.order = s.login, s.cart, s.order
	}
	return v
}

// change runs f on the visitor's session, which it makes if need be.
func (o *Origin) change(v *visit, f func(*session)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sessions[v.sid]
	if s == nil {
		for old := range o.sessions {
			if len(o.sessions) < maxSessions {
				break
			}
			delete(o.sessions, old)
		}
		s = &session{seen: map[string]bool{}}
		o.sessions[v.sid] = s
	}
	f(s)
	v.login, v.cart, v.order = s.login, s.cart, s.order
}

// see notes that the session has seen what name stands for. The first time
// changes the session: Odoo notes the pricelist on a visitor's first page of the
// shop, and which blog posts were viewed.
func (o *Origin) see(v *visit, name string) {
	o.change(v, func(s *session) {
		if !s.seen[name] {
			s.seen[name] = true
			v.dirty = true
		}
	})
}

// forget drops the visitor's session and gives a new one.
func (o *Origin) forget(v *visit) {
	o.mu.Lock()
	delete(o.sessions, v.sid)
	o.mu.Unlock()
	v.sid, v.dirty = newSessionID(), true
	v.login, v.cart, v.order = "", 0, 0
}

// base returns scheme and host as Odoo in proxy mode sees them: from
// X-Forwarded-Host and then X-Forwarded-Proto, each one's last value. Without
// X-Forwarded-Host it believes neither.
func base(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if h := lastValue(r.Header, "X-Forwarded-Host"); h != "" {
		host = h
		if p := lastValue(r.Header, "X-Forwarded-Proto"); p != "" {
			scheme = p
		}
	}
	return scheme + "://" + host
}

func lastValue(h http.Header, name string) string {
	list := strings.Split(strings.Join(h.Values(name), ","), ",")
	return strings.TrimSpace(list[len(list)-1])
}

// hostname returns the host of a base without its port.
func hostname(base string) string {
	_, host, _ := strings.Cut(base, "://")
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

// tokenLife is how long Odoo's tokens are valid.
const tokenLife = 365 * 24 * time.Hour

// Token returns the CSRF token that a page rendered at that time holds for the
// session: Odoo's hex HMAC-SHA1 of the session id's first 42 characters and the
// expiry, then "o", then the expiry.
func (o *Origin) Token(sessionID string, at time.Time) string {
	expiry := strconv.FormatInt(at.Add(tokenLife).Unix(), 10)
	return o.sign(sessionID, expiry) + "o" + expiry
}

// ValidToken reports whether Odoo would accept the token from the session.
func (o *Origin) ValidToken(sessionID, token string) bool {
	i := strings.LastIndexByte(token, 'o')
	if i < 0 {
		return false
	}
	expiry := token[i+1:]
	if expiry != "" { // Odoo accepts a token without an expiry
		t, err := strconv.ParseInt(expiry, 10, 64)
		if err != nil || t < time.Now().Unix() {
			return false
		}
	}
	return subtle.ConstantTimeCompare([]byte(token[:i]), []byte(o.sign(sessionID, expiry))) == 1
}

func (o *Origin) sign(sessionID, expiry string) string {
	if len(sessionID) > 42 {
		sessionID = sessionID[:42]
	}
	h := hmac.New(sha1.New, o.secret)
	h.Write([]byte(sessionID + expiry))
	return hex.EncodeToString(h.Sum(nil))
}
