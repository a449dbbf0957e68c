package odoocache_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryWayToChangeASessionMarksIt: what Odoo takes for a request of a session
// that may change it.
func TestEveryWayToChangeASessionMarksIt(t *testing.T) {
	storages(t, func(t *testing.T, load loader, o options) {
		for _, c := range []struct {
			name string
			do   func(s *site, id string)
		}{
			{"a GET that asks for another protocol", func(s *site, id string) {
				s.get("/pricelist", "Cookie: session_id="+id, "Connection: Upgrade", "Upgrade: x")
			}},
			{"a POST with an escape in the session's id", func(s *site, id string) {
				s.do(http.MethodPost, "/change", "x", "Cookie: session_id="+escaped(id))
			}},
			{"a POST with the session behind a byte that Odoo takes for white space", func(s *site, id string) {
				s.do(http.MethodPost, "/change", "x", "Cookie: a=b;\xa0session_id="+id)
			}},
			{"a POST with such a byte before the session's id", func(s *site, id string) {
				s.do(http.MethodPost, "/change", "x", "Cookie: session_id=\xa0"+id)
			}},
			{"a GET with a form, which Odoo reads like that of a POST", func(s *site, id string) {
				s.do(http.MethodGet, "/product", "pricelist=3", "Cookie: session_id="+id, "Content-Type: application/x-www-form-urlencoded")
			}},
			{"a HEAD with a form", func(s *site, id string) {
				s.do(http.MethodHead, "/product", "pricelist=3", "Cookie: session_id="+id, "Content-Type: application/x-www-form-urlencoded")
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				s, _ := newOdooLike(t, load, o)
				s.get("/a")
				id := s.do(http.MethodPost, "/seen", "x").session()
				require.Contains(t, s.get("/a", "Cookie: session_id="+id).cacheStatus(), "hit")
				c.do(s, id)
				assert.Contains(t, s.get("/a", "Cookie: session_id="+id).cacheStatus(), "detail=session")
			})
		}
		t.Run("a session that a GET with a form begins", func(t *testing.T) {
			s, _ := newOdooLike(t, load, o)
			s.get("/a")
			id := s.do(http.MethodGet, "/product", "pricelist=3", "Content-Type: application/x-www-form-urlencoded").session()
			require.NotEmpty(t, id)
			assert.Contains(t, s.get("/a", "Cookie: session_id="+id).cacheStatus(), "detail=session")
		})
	})
}

// TestAPageIsNotStoredWhoseSessionBecameSpecialMeanwhile: Odoo may render it after
// the request that changed the session, though it was asked for it before.
func TestAPageIsNotStoredWhoseSessionBecameSpecialMeanwhile(t *testing.T) {
	storages(t, func(t *testing.T, load loader, o options) {
		s, odoo := newOdooLike(t, load, o)
		cookie := "Cookie: session_id=" + s.do(http.MethodPost, "/seen", "x").session()
		arrived, goOn := make(chan bool), make(chan bool)
		s.answers(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				arrived <- true
				<-goOn
			}
			odoo.serve(rw, r)
		})
		done := make(chan reply)
		go func() {
			r, err := send(http.MethodGet, s.url+"/slow", "", fields(cookie))
			assert.NoError(t, err)
			done <- r
		}()
		<-arrived
		s.do(http.MethodPost, "/change", "x", cookie)
		goOn <- true
		<-done
		s.answers(odoo.serve)
		assert.NotContains(t, s.get("/slow").body, "special", "what others get")
	})
}

// TestAMarkThatRedisLostIsWrittenAgain: a replica that takes over, or a restored
// snapshot, can have the beginning of a session and lack its mark.
func TestAMarkThatRedisLostIsWrittenAgain(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		server := startRedis(t)
		s, _ := newOdooLike(t, load, options{"tenant": "lost", "redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"}})
		s.get("/a")
		cookie := "Cookie: session_id=" + s.do(http.MethodPost, "/seen", "x").session()
		born := strings.Fields(server.must("ZRANGE oc:{lost}:sessions 0 -1 WITHSCORES")) // member, score
		require.Len(t, born, 2)
		s.do(http.MethodPost, "/change", "x", cookie)
		require.Contains(t, s.get("/a", cookie).cacheStatus(), "detail=session")
		server.must("ZADD oc:{lost}:sessions " + born[1] + " " + born[0])
		assert.Eventually(t, func() bool { // a mark is trusted to be there for a second
			s.do(http.MethodPost, "/change", "x", cookie)
			return strings.Contains(s.get("/a", cookie).cacheStatus(), "detail=session")
		}, waitFor, 100*time.Millisecond)
	})
}

// TestARequestCannotNameManySessions: each would be hashed and written, and push
// others out of what is known.
func TestARequestCannotNameManySessions(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		server := startRedis(t)
		s, _ := newOdooLike(t, load, options{"tenant": "many", "redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"}})
		var cookies strings.Builder
		for i := 0; i < 5000; i++ {
			cookies.WriteString("session_id=" + sid(i) + "; ")
		}
		s.do(http.MethodPost, "/change", "x", "Cookie: "+cookies.String())
		n, err := strconv.Atoi(strings.TrimSpace(server.must("ZCARD oc:{many}:sessions")))
		require.NoError(t, err)
		assert.Less(t, n, 100)
	})
}

// TestQuotesInOtherCookiesHideNoSession: Odoo's campaign cookies are quoted when
// their value has a space, and stay for a month.
func TestQuotesInOtherCookiesHideNoSession(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s, _ := newOdooLike(t, load, nil)
		s.get("/a")
		id := s.do(http.MethodPost, "/seen", "x").session()
		assert.Contains(t, s.get("/a", `Cookie: odoo_utm_campaign="Black Friday"; session_id=`+id).cacheStatus(), "hit")
	})
}
