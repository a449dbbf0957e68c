package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http/httptrace"
	"regexp"
	"strings"
	"sync/atomic"
)

// An answer without Content-Length has come to its end, or has broken off, and not every proxy
// tells: Traefik's fast one takes the end of a connection for that of the answer, as RFC 9112 §8
// allows. A fill is stored only if there is evidence that it is whole:
//
//   - the proxy kept its connection for another request, so that the answer had a framing, and
//     the end of it was read (RFC 9112 §6.3);
//   - it was coded, and its coding tells its end (RFC 1952 §2.3.1);
//   - its content tells its end: HTML, JSON, XML.
//
// What has none of these is asked for once more in gzip, since a proxy that has changed a page on
// its way, and so lost its length, mostly can code it, too.

// ending says how a body without a length has ended.
type ending int

const (
	endUntold ending = 0
	endWhole  ending = 1
	endBroken ending = 2
)

// trip is what Traefik's proxy tells of its connections during one request. All of it is
// atomic.
type trip struct {
	asked int32 // requests that were written
	taken int32 // connections that were taken for one
	kept  int32 // connections that were kept after one
}

// watchTrip returns a context for a request whose trip is told. Traefik's fast proxy tells
// what it has written, and nothing of connections.
//
// The transport calls from a goroutine of its own, in which a panic would end Traefik.
func watchTrip(ctx context.Context, t *trip) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(_ httptrace.WroteRequestInfo) { tally(&t.asked) },
		GotConn:      func(_ httptrace.GotConnInfo) { tally(&t.taken) },
		PutIdleConn: func(err error) {
			defer func() { _ = recover() }()
			if err == nil {
				tally(&t.kept)
			}
		},
	})
}

// tally counts one.
func tally(n *int32) {
	defer func() { _ = recover() }()
	atomic.AddInt32(n, 1)
}

// whole reports whether an answer was read up to the end of its framing: the one connection
// that was used for it is fit for another request. Where there were several, as of a service
// that mirrors, it is not known whose that is.
func whole(t *trip) bool {
	return atomic.LoadInt32(&t.asked) == 1 && atomic.LoadInt32(&t.taken) == 1 && atomic.LoadInt32(&t.kept) == 1
}

// endOf says how a body without an announced length has ended. One of an own rule is judged by
// RFC 9112 §8: it is whole if nothing tells that it has broken off.
func endOf(f *fetching, kind string, body []byte) ending {
	if f.filling == nil || f.filling.ended || whole(&f.filling.trip) {
		return endWhole
	}
	kind = strings.ToLower(kind)
	switch {
	case strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml"):
		return endIf(pageEnd.Match(tailOf(body)))
	case strings.Contains(kind, "json"):
		return endIf(json.Valid(body) && !bareNumber.Match(tailOf(body)))
	case strings.Contains(kind, "xml"):
		return endIf(xml.Unmarshal(body, &struct{}{}) == nil) // which reads up to the end of the root
	}
	return endUntold
}

// endIf is the ending of a body whose content tells it.
func endIf(whole bool) ending {
	if whole {
		return endWhole
	}
	return endBroken
}

var (
	// pageEnd is how a whole page ends: with the closing tag, and white space and comments.
	pageEnd = regexp.MustCompile(`(?i)</html\s*>(?:\s|<!--(?s:.*?)-->)*$`)
	// bareNumber is the end of JSON that is a number: its beginning is one, too.
	bareNumber = regexp.MustCompile(`[0-9]\s*$`)
)

// pageTail is how much of a body is looked at for its end, in bytes.
const pageTail = 1024

func tailOf(body []byte) []byte {
	return bytes.TrimSpace(body[len(body)-shorter(len(body), pageTail):])
}

func shorter(a, b int) int {
	if a < b {
		return a
	}
	return b
}
