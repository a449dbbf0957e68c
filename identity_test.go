package odoocache_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A session that net/http refuses to read is still a session to Odoo, which
// undoes the escapes of a quoted value: its pages are not stored for others.
func TestOddlyWrittenSessionIsASession(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, cookie := range []string{`session_id="\141bc"`, "session_id=a\\b", "x=1; session_id =abc"} {
			s := newSite(t, load, options{"rules": []options{{"match": everything, "ttl": "60"}}}, page("mine"))
			s.get("/", "Cookie: "+cookie)
			s.answers(page("anybody's"))
			assert.Equal(t, "anybody's", s.get("/").body, cookie)
		}
	})
}

// A purge of an address as a visitor has it hits the page that is kept for it
// without the parameters that do not count; so does a POST to it (RFC 9111 §4.4).
func TestPurgeWithIgnoredParameters(t *testing.T) {
	o := options{
		"rules": []options{{"match": everything, "ttl": "60", "query": options{"ignore": []string{"utm_*"}}}},
		"purge": options{"secret": "correct horse"},
	}
	both(t, func(t *testing.T, load loader) {
		for _, c := range []struct{ name, get, method, purge string }{
			{"purge", "/shop?page=2&a=1", "PURGE", "/shop?a=1&utm_source=x&page=2"},
			{"purge without what counts", "/shop", "PURGE", "/shop?utm_source=x"},
			{"post", "/shop?page=2", http.MethodPost, "/shop?utm_source=x&page=2"},
			{"a question mark in the query", "/shop??a=1", "PURGE", "/shop??a=1"},
			{"an empty query", "/shop?", "PURGE", "/shop?"},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := newSite(t, load, o, page("one"))
				s.get(c.get)
				s.answers(page("two"))
				assert.Equal(t, "one", s.get(c.get).body)
				s.do(c.method, c.purge, "", "X-Odoocache-Secret: correct horse")
				assert.Equal(t, "two", s.get(c.get).body)
			})
		}
	})
}

// /shop? and /shop?? are two addresses with two entries.
func TestEmptyQueryHasItsOwnEntry(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, options{"rules": []options{{"match": everything, "ttl": "60"}}}, func(rw http.ResponseWriter, r *http.Request) {
			page(r.RequestURI)(rw, r)
		})
		for _, address := range []string{"/shop", "/shop?", "/shop??"} {
			assert.Equal(t, address, s.get(address).body)
		}
	})
}
