package cache

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// deliver answers from a stored response.
func deliver(h *Handler, rw http.ResponseWriter, v *visit) {
	detail := ""
	if v.state == policy.Stale {
		detail = "stale-while-revalidate"
	} else if v.refreshEarly {
		detail = "early-refresh"
	}
	count(h, "hit")
	e := withOwnCookies(h, v, v.entry, nil)
	sendEntry(h, rw, v.r, e, hitStatus(h, e, v.now, detail), v.now)
}

// sendEntry writes an entry to the client: headers, Age (RFC 9111 §5.1),
// Cache-Status, and what the client's conditions, range and method leave of
// the body.
func sendEntry(h *Handler, rw http.ResponseWriter, r *http.Request, e *storage.Entry, status string, now int64) {
	header := rw.Header()
	before := len(header)
	copyHeader(header, e.Header)
	body, ok := represent(header, r, e, nil)
	if !ok { // its checksum was right, so this is a mistake of ours
		h.logf("%s %s: a stored body cannot be decoded; the request goes to the origin", r.Method, h.shownPath(r.URL.Path))
		if before == 0 {
			for name := range header {
				delete(header, name)
			}
		}
		passBlindly(h, rw, &visit{r: r}, policy.ReasonInternal)
		return
	}
	header["Age"] = []string{policy.FormatAge(age(e, now))}
	header["Cache-Status"] = []string{status}
	sendBody(rw, r, e.Status, header, body, e.Life.Born)
}

// sendBody answers with a status and a whole body, or with as much of it as
// the request asks for. The headers are in place.
func sendBody(rw http.ResponseWriter, r *http.Request, status int, header http.Header, body []byte, born int64) {
	if status == http.StatusOK {
		if conditional(r.Header) && policy.NotModified(r.Header, header, born) {
			notModified(rw, header)
			return
		}
		if len(r.Header["Range"]) > 0 && r.Method == http.MethodGet {
			sendRange(rw, r, header, body)
			return
		}
	}
	if bodyAllowed(status) {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	rw.WriteHeader(status)
	if r.Method != http.MethodHead && len(body) > 0 {
		_, _ = rw.Write(body) // the client's connection; nobody is left to tell
	}
}

// sendRange lets the standard library answer a range request (RFC 9110 §14).
// The conditions have been judged already; If-Range is left to it.
func sendRange(rw http.ResponseWriter, r *http.Request, header http.Header, body []byte) {
	only := &http.Request{Method: r.Method, URL: r.URL, Header: http.Header{"Range": r.Header["Range"]}}
	if lines := r.Header["If-Range"]; len(lines) > 0 {
		only.Header["If-Range"] = lines
	}
	modified, _ := http.ParseTime(header.Get("Last-Modified"))
	if len(header["Content-Type"]) == 0 {
		header["Content-Type"] = nil // no guessing
	}
	http.ServeContent(rw, only, "", modified, bytes.NewReader(body))
}
