package cache

import (
	"bufio"
	"net"
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
)

// An answer to a request for another protocol is most often that protocol: it takes the
// connection over. Any other answer is one like all others, and may carry a purge.

// hijackable is the ResponseWriter of such an answer, and of one that is nobody's.
type hijackable struct {
	http.ResponseWriter

	look    func(header http.Header) // once, when the header is known and before it leaves
	decided bool
	flush   bool
}

// Hijack implements http.Hijacker. What is written to the connection is not seen.
func (t *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err == nil {
		t.decided = true
	}
	return conn, rw, err
}

// WriteHeader implements http.ResponseWriter.
func (t *hijackable) WriteHeader(status int) {
	if !t.decided && (status >= 200 || status == http.StatusSwitchingProtocols) {
		t.decided = true
		header := t.ResponseWriter.Header()
		t.look(header)
		t.flush = header["Content-Length"] == nil && bodyAllowed(status)
	}
	t.ResponseWriter.WriteHeader(status)
	if t.flush {
		flush(t.ResponseWriter)
	}
}

// Write implements http.ResponseWriter.
func (t *hijackable) Write(p []byte) (int, error) {
	if !t.decided {
		(*hijackable).WriteHeader(t, http.StatusOK)
	}
	n, err := t.ResponseWriter.Write(p)
	if t.flush && err == nil {
		flush(t.ResponseWriter)
	}
	return n, err
}

// handOnConnection hands a request on with a writer that gives the connection away.
func handOnConnection(h *Handler, rw http.ResponseWriter, r *http.Request, look func(header http.Header)) {
	t := &hijackable{ResponseWriter: rw, look: look}
	h.next.ServeHTTP(t, r)
	if !t.decided { // a response without a body
		(*hijackable).WriteHeader(t, http.StatusOK)
	}
}

// upgrade hands a request for another protocol on, so that its answer can take the
// connection over. The origin is not told of the cache: in the answer that does so a purge
// would not be seen in time, so it has to be sent as a request.
func (h *Handler) upgrade(rw http.ResponseWriter, r *http.Request, over bool) bool {
	reason := transparent(r)
	if reason == "" {
		return false
	}
	if over {
		h.markBlindly(&visit{r: r})
	} else {
		h.markTransparent(r)
	}
	if h.s.EdgeHeader != "" {
		delete(r.Header, h.s.EdgeHeader)
	}
	rw.Header().Add("Cache-Status", statusForwarded(h, "bypass", 0, reason))
	count(h, reason)
	handOnConnection(h, rw, r, func(header http.Header) {
		applyPurgeHeaders(h, header)
		removeEdgeHeaders(h, header)
	})
	applyPurgeHeaders(h, rw.Header()) // of an answer that took the connection over
	return true
}

// transparent returns why the answer to a request may take its connection over, "" if it may
// not. Only a GET or CONNECT asks for another protocol.
func transparent(r *http.Request) string {
	lines := r.Header["Upgrade"]
	if len(lines) == 0 || (r.Method != http.MethodGet && r.Method != http.MethodConnect) {
		return ""
	}
	if r.Method == http.MethodConnect || strings.EqualFold(strings.TrimSpace(lines[0]), "websocket") {
		return policy.ReasonUpgrade
	}
	delete(r.Header, "Upgrade") // nobody has to heed it (RFC 9110 §7.8)
	return ""
}

// markTransparent marks the sessions of a request that is handed on as it is: it may do more
// than change the protocol.
func (h *Handler) markTransparent(r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			h.logf("%s %s: %v", r.Method, h.shownPath(r.URL.Path), p)
		}
	}()
	v := &visit{r: r, now: nowMS()}
	identifyVisit(h, v)
	markSessions(h, v)
}
