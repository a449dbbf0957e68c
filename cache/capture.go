package cache

import (
	"errors"
	"net/http"
)

// captureMode says what becomes of a response. It is decided once, when its status and headers
// are known.
type captureMode int

const (
	undecided captureMode = 0
	passing   captureMode = 1 // to the client as it comes
	teeing    captureMode = 2 // to the client as it comes, and kept
	keeping   captureMode = 3 // kept, and sent when it is whole
	holding   captureMode = 4 // not for the client: a 304 of ours, an error that a stale copy stands in for
	cutting   captureMode = 5 // for nobody, and too long to be read
)

// errCut tells the origin's proxy that nobody reads the rest of an answer.
var errCut = errors.New("odoocache: nobody reads the rest of this answer")

// capture is the ResponseWriter that the origin writes to. It has headers of
// its own until the decision, so that a held response leaves no trace.
//
// There is no Flush method: the interpreter would not let the origin find it.
// Responses of unknown length are flushed after every write instead.
type capture struct {
	rw     http.ResponseWriter // nil for a background refresh
	header http.Header
	out    http.Header // the client's, once the answer goes there; nil before
	status int
	mode   captureMode
	decide func(c *capture) // sets mode, and changes header as needed
	limit  int64            // most bytes to keep
	body   []byte
	over   bool // more than limit came
	broken bool // the origin's answer broke off, and an error was put behind it

	outgrown func(c *capture) // called when more than limit comes; nil: the rest is not kept
	failed   error            // of a write to the client
	flush    bool
}

// Header implements http.ResponseWriter. After the decision it is the client's
// header map, so that trailers reach it.
func (c *capture) Header() http.Header {
	if c.out != nil {
		return c.out
	}
	return c.header
}

// WriteHeader implements http.ResponseWriter.
func (c *capture) WriteHeader(status int) {
	if c.mode != undecided {
		if status >= 400 { // Traefik's fast proxy reports so that a body has broken off
			c.broken = true
		}
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		inform(c, status)
		return
	}
	c.status = status
	c.decide(c)
	if c.rw == nil { // nobody to pass it to
		if c.mode == passing {
			c.mode = holding
		} else if c.mode == teeing {
			c.mode = keeping
		}
	}
	if c.mode != passing && c.mode != teeing {
		return
	}
	c.out = c.rw.Header()
	copyHeader(c.out, c.header)
	c.flush = len(c.header["Content-Length"]) == 0 && bodyAllowed(status)
	c.rw.WriteHeader(status)
	if c.flush { // a stream has begun, even if its first event is yet to come
		flush(c.rw)
	}
}

// inform passes an interim response on (RFC 9110 §15.2).
func inform(c *capture, status int) {
	if c.rw == nil {
		return
	}
	out := c.rw.Header()
	for name, lines := range c.header {
		out[name] = lines
	}
	c.rw.WriteHeader(status)
	for name := range c.header {
		delete(out, name)
	}
}

// Write implements http.ResponseWriter.
func (c *capture) Write(p []byte) (int, error) {
	if c.mode == undecided {
		c.WriteHeader(http.StatusOK)
	}
	if c.mode == keeping || c.mode == teeing {
		keepBytes(c, p)
	}
	if c.mode == cutting {
		return 0, errCut
	}
	if c.mode == passing || c.mode == teeing {
		return sendOn(c, p)
	}
	return len(p), nil
}

func keepBytes(c *capture, p []byte) {
	if c.over || int64(len(c.body)+len(p)) > c.limit {
		if !c.over && c.outgrown != nil {
			c.outgrown(c)
		}
		c.over = true
		c.body = nil
		return
	}
	c.body = append(c.body, p...)
}

// sendOn writes to the client. If the client is gone, a response that is being
// kept is read to its end all the same; any other is given up.
func sendOn(c *capture, p []byte) (int, error) {
	if c.failed != nil {
		if c.mode == teeing && !c.over {
			return len(p), nil
		}
		return 0, c.failed
	}
	n, err := c.rw.Write(p)
	if err != nil {
		c.failed = err
		if c.mode == teeing && !c.over {
			return len(p), nil
		}
		return n, err
	}
	if c.flush {
		flush(c.rw)
	}
	return n, nil
}

// endCapture sees to it that a response without a body is decided, too.
func endCapture(c *capture) {
	if c.mode == undecided {
		c.WriteHeader(http.StatusOK)
	}
}
