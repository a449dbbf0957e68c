package behaviour_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/test/site"
)

// A session that net/http refuses to read is still a session to Odoo, which
// undoes the escapes of a quoted value: its pages are not stored for others.
func TestOddlyWrittenSessionIsASession(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, cookie := range []string{`session_id="\141bc"`, "session_id=a\\b", "x=1; session_id =abc"} {
			s := site.New(t, load, site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60"}}}, site.Page("mine"))
			s.Get("/", "Cookie: "+cookie)
			s.Answers(site.Page("anybody's"))
			assert.Equal(t, "anybody's", s.Get("/").Body, cookie)
		}
	})
}

// A purge of an address as a visitor has it hits the page that is kept for it
// without the parameters that do not count; so does a POST to it (RFC 9111 §4.4).
func TestPurgeWithIgnoredParameters(t *testing.T) {
	o := site.Options{
		"rules": []site.Options{{"match": site.Everything, "ttl": "60", "query": site.Options{"ignore": []string{"utm_*"}}}},
		"purge": site.Options{"secret": "correct horse"},
	}
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, c := range []struct{ name, get, method, purge string }{
			{"purge", "/shop?page=2&a=1", "PURGE", "/shop?a=1&utm_source=x&page=2"},
			{"purge without what counts", "/shop", "PURGE", "/shop?utm_source=x"},
			{"post", "/shop?page=2", http.MethodPost, "/shop?utm_source=x&page=2"},
			{"a question mark in the query", "/shop??a=1", "PURGE", "/shop??a=1"},
			{"an empty query", "/shop?", "PURGE", "/shop?"},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := site.New(t, load, o, site.Page("one"))
				s.Get(c.get)
				s.Answers(site.Page("two"))
				assert.Equal(t, "one", s.Get(c.get).Body)
				s.Do(c.method, c.purge, "", "X-Odoocache-Secret: correct horse")
				assert.Equal(t, "two", s.Get(c.get).Body)
			})
		}
	})
}

// /shop? and /shop?? are two addresses with two entries.
func TestEmptyQueryHasItsOwnEntry(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60"}}}, func(rw http.ResponseWriter, r *http.Request) {
			site.Page(r.RequestURI)(rw, r)
		})
		for _, address := range []string{"/shop", "/shop?", "/shop??"} {
			assert.Equal(t, address, s.Get(address).Body)
		}
	})
}
