package cache

import (
	"bufio"
	"net"
	"net/http"
)

// An answer to a request for another protocol is most often that protocol: it takes the
// connection over. Any other answer is one like all others, and may carry a purge.

// hijackable is the ResponseWriter of such an answer.
type hijackable struct {
	http.ResponseWriter

	h       *Handler
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
	if status >= 200 && !t.decided {
		t.decided = true
		header := t.ResponseWriter.Header()
		applyPurgeHeaders(t.h, header)
		strip(t.h, header)
		t.flush = header["Content-Length"] == nil && bodyAllowed(status)
	}
	t.ResponseWriter.WriteHeader(status)
	if t.flush {
		flushed(t.ResponseWriter)
	}
}

// Write implements http.ResponseWriter.
func (t *hijackable) Write(p []byte) (int, error) {
	if !t.decided {
		(*hijackable).WriteHeader(t, http.StatusOK)
	}
	n, err := t.ResponseWriter.Write(p)
	if t.flush && err == nil {
		flushed(t.ResponseWriter)
	}
	return n, err
}
