package behaviour_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestEveryWayToChangeASessionMarksIt: what Odoo takes for a request of a session
// that may change it.
func TestEveryWayToChangeASessionMarksIt(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		for _, c := range []struct {
			name string
			do   func(s *site.Site, id string)
		}{
			{"a GET that asks for another protocol", func(s *site.Site, id string) {
				s.Get("/pricelist", "Cookie: session_id="+id, "Connection: Upgrade", "Upgrade: x")
			}},
			{"a POST with an escape in the session's id", func(s *site.Site, id string) {
				s.Do(http.MethodPost, "/change", "x", "Cookie: session_id="+site.Escaped(id))
			}},
			{"a POST with the session behind a byte that Odoo takes for white space", func(s *site.Site, id string) {
				s.Do(http.MethodPost, "/change", "x", "Cookie: a=b;\xa0session_id="+id)
			}},
			{"a POST with such a byte before the session's id", func(s *site.Site, id string) {
				s.Do(http.MethodPost, "/change", "x", "Cookie: session_id=\xa0"+id)
			}},
			{"a GET with a form, which Odoo reads like that of a POST", func(s *site.Site, id string) {
				s.Do(http.MethodGet, "/product", "pricelist=3", "Cookie: session_id="+id, "Content-Type: application/x-www-form-urlencoded")
			}},
			{"a HEAD with a form", func(s *site.Site, id string) {
				s.Do(http.MethodHead, "/product", "pricelist=3", "Cookie: session_id="+id, "Content-Type: application/x-www-form-urlencoded")
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				s, _ := newOdooLike(t, load, o)
				s.Get("/a")
				id := s.Do(http.MethodPost, "/seen", "x").Session()
				require.Contains(t, s.Get("/a", "Cookie: session_id="+id).CacheStatus(), "hit")
				c.do(s, id)
				assert.Contains(t, s.Get("/a", "Cookie: session_id="+id).CacheStatus(), "detail=session")
			})
		}
		t.Run("a session that a GET with a form begins", func(t *testing.T) {
			s, _ := newOdooLike(t, load, o)
			s.Get("/a")
			id := s.Do(http.MethodGet, "/product", "pricelist=3", "Content-Type: application/x-www-form-urlencoded").Session()
			require.NotEmpty(t, id)
			assert.Contains(t, s.Get("/a", "Cookie: session_id="+id).CacheStatus(), "detail=session")
		})
	})
}

// TestAPageIsNotStoredWhoseSessionBecameSpecialMeanwhile: Odoo may render it after
// the request that changed the session, though it was asked for it before.
func TestAPageIsNotStoredWhoseSessionBecameSpecialMeanwhile(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, odoo := newOdooLike(t, load, o)
		cookie := "Cookie: session_id=" + s.Do(http.MethodPost, "/seen", "x").Session()
		arrived, goOn := make(chan bool), make(chan bool)
		s.Answers(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				arrived <- true
				<-goOn
			}
			odoo.serve(rw, r)
		})
		done := make(chan site.Reply)
		go func() {
			r, err := site.Send(http.MethodGet, s.URL+"/slow", "", site.Fields(cookie))
			assert.NoError(t, err)
			done <- r
		}()
		<-arrived
		s.Do(http.MethodPost, "/change", "x", cookie)
		goOn <- true
		<-done
		s.Answers(odoo.serve)
		assert.NotContains(t, s.Get("/slow").Body, "special", "what others get")
	})
}

// TestAMarkThatRedisLostIsWrittenAgain: a replica that takes over, or a restored
// snapshot, can have the beginning of a session and lack its mark.
func TestAMarkThatRedisLostIsWrittenAgain(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		server := stack.StartServer(t)
		s, _ := newOdooLike(t, load, site.Options{"tenant": "lost", "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}})
		s.Get("/a")
		cookie := "Cookie: session_id=" + s.Do(http.MethodPost, "/seen", "x").Session()
		born := strings.Fields(server.Must("ZRANGE oc:{lost}:sessions 0 0 WITHSCORES")) // member, score: the epoch comes last
		require.Len(t, born, 2)
		s.Do(http.MethodPost, "/change", "x", cookie)
		require.Contains(t, s.Get("/a", cookie).CacheStatus(), "detail=session")
		server.Must("ZADD oc:{lost}:sessions " + born[1] + " " + born[0])
		assert.Eventually(t, func() bool { // a mark is trusted to be there for a second
			s.Do(http.MethodPost, "/change", "x", cookie)
			return strings.Contains(s.Get("/a", cookie).CacheStatus(), "detail=session")
		}, site.WaitFor, 100*time.Millisecond)
	})
}

// TestARequestCannotNameManySessions: each would be hashed and written, and push
// others out of what is known.
func TestARequestCannotNameManySessions(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		server := stack.StartServer(t)
		s, _ := newOdooLike(t, load, site.Options{"tenant": "many", "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}})
		var cookies strings.Builder
		for i := 0; i < 5000; i++ {
			cookies.WriteString("session_id=" + site.SessionID(i) + "; ")
		}
		s.Do(http.MethodPost, "/change", "x", "Cookie: "+cookies.String())
		n, err := strconv.Atoi(strings.TrimSpace(server.Must("ZCARD oc:{many}:sessions")))
		require.NoError(t, err)
		assert.Less(t, n, 100)
	})
}

// TestQuotesInOtherCookiesHideNoSession: Odoo's campaign cookies are quoted when
// their value has a space, and stay for a month.
func TestQuotesInOtherCookiesHideNoSession(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, _ := newOdooLike(t, load, nil)
		s.Get("/a")
		id := s.Do(http.MethodPost, "/seen", "x").Session()
		assert.Contains(t, s.Get("/a", `Cookie: odoo_utm_campaign="Black Friday"; session_id=`+id).CacheStatus(), "hit")
	})
}
