package odoocache_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// escaped writes the first character of a session's id as an octal escape in a
// quoted cookie value: Odoo reads it (werkzeug/http.py, parse_cookie).
func escaped(id string) string {
	return fmt.Sprintf(`"\%03o%s"`, id[0], id[1:])
}

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

// TestOdooSessionsChangedUnnoticed: what a visitor did to a session of theirs
// shows on nobody else's page.
func TestOdooSessionsChangedUnnoticed(t *testing.T) {
	odoo := needOdoo(t)
	e := odoo.behind(t, nil)
	product := odoo.pages(t)["product"]
	const form = "Content-Type: application/x-www-form-urlencoded"
	for i, c := range []struct {
		name, method, path, body string
		lines                    func(id string) []string
	}{
		{"debug, and another protocol", "GET", "/contactus?debug=1", "", func(id string) []string {
			return []string{"Cookie: session_id=" + id, "Connection: Upgrade", "Upgrade: x"}
		}},
		{"pricelist, and another protocol", "GET", "/shop/change_pricelist/eur-eur-3", "", func(id string) []string {
			return []string{"Cookie: session_id=" + id, "Connection: Upgrade", "Upgrade: x"}
		}},
		{"debug on the way to a WebSocket", "GET", "/websocket?debug=1", "", func(id string) []string {
			return []string{"Cookie: session_id=" + id, "Connection: Upgrade", "Upgrade: websocket", "Origin: http://" + shopHost,
				"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
		}},
		{"pricelist, by an escaped id", "GET", "/shop/change_pricelist/eur-eur-3", "", func(id string) []string {
			return []string{"Cookie: session_id=" + escaped(id)}
		}},
		{"pricelist, by an id behind a byte that Odoo takes for white space", "GET", "/shop/change_pricelist/eur-eur-3", "", func(id string) []string {
			return []string{"Cookie: a=b;\xa0session_id=" + id}
		}},
		{"pricelist, by an id before which there is such a byte", "GET", "/shop/change_pricelist/eur-eur-3", "", func(id string) []string {
			return []string{"Cookie: session_id=\xa0" + id}
		}},
		{"pricelist, by a name behind which there is such a byte", "GET", "/shop/change_pricelist/eur-eur-3", "", func(id string) []string {
			return []string{"Cookie: session_id\x85=" + id}
		}},
		{"pricelist, by the form of a GET", "GET", product, "pricelist=3", func(id string) []string {
			return []string{"Cookie: session_id=" + id, form}
		}},
		{"pricelist, by the form of a HEAD", "HEAD", product, "pricelist=3", func(id string) []string {
			return []string{"Cookie: session_id=" + id, form}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			page := fmt.Sprintf("%s?n=%d", product, i)
			v := e.visitor(shopHost, browserLanguage)
			v.get("/website/translations?lang=en_US")
			id := v.cookie("session_id")
			require.NotEmpty(t, id)
			sendRaw(t, e.url, c.method, c.path, c.body, c.lines(id)...)
			v.get(page)
			requireSame(t, masked(odoo.visitor(t, shopHost).get(page).body), masked(e.visitor(shopHost, browserLanguage).get(page).body), "what others get")
		})
	}
}

// sendRaw sends a request line by line, and waits for the head of the answer.
func sendRaw(t *testing.T, address, method, path, body string, lines ...string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	text := method + " " + path + " HTTP/1.1\r\nHost: " + shopHost + "\r\n" + browserLanguage + "\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	if body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	_, err = io.WriteString(c, text+"\r\n"+body)
	require.NoError(t, err)
	_, err = http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	require.NoError(t, err)
}

// TestOdooWebSocketKeepsTheSession: a connection for notifications changes no page.
func TestOdooWebSocketKeepsTheSession(t *testing.T) {
	odoo := needOdoo(t)
	e := odoo.behind(t, nil)
	e.visitor(shopHost, browserLanguage).get("/contactus")
	v := e.visitor(shopHost, browserLanguage)
	v.get("/website/translations?lang=en_US")
	sendRaw(t, e.url, http.MethodGet, "/websocket", "", "Cookie: session_id="+v.cookie("session_id"), "Connection: Upgrade", "Upgrade: websocket",
		"Origin: http://"+shopHost, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	assert.Contains(t, v.get("/contactus").cacheStatus(), "; hit")
}

// TestOdooLanguageOfASession: a session that Odoo has saved has a language of its
// own, which goes before Accept-Language where frontend_lang names none of the
// website's languages (http_routing/models/ir_http.py, _match: context_lang).
func TestOdooLanguageOfASession(t *testing.T) {
	odoo := needOdoo(t)
	e := odoo.behind(t, nil)
	for i, cookie := range []string{"", "frontend_lang=zz_ZZ; ", "frontend_lang=; "} {
		t.Run("with "+cookie, func(t *testing.T) {
			page := fmt.Sprintf("/contactus?n=%d", i)
			v := e.visitor(shopHost, browserLanguage)
			v.get("/website/translations?lang=en_US")
			id := v.cookie("session_id")
			require.NotEmpty(t, id)
			v.get(fmt.Sprintf("/shop?n=%d", i)) // saves the session
			_, err := send(http.MethodGet, e.url+page, "", fields("Host: "+shopHost, "Cookie: "+cookie+"session_id="+id, "Accept-Language: fr"))
			require.NoError(t, err)
			got := e.visitor(shopHost, "Accept-Language: fr").get(page)
			assert.Equal(t, http.StatusSeeOther, got.status, "a French visitor is sent to /fr%s; %s", page, got.cacheStatus())
		})
	}
}

// TestOdooFormsInFrench: the page that a token is taken from is sent elsewhere by
// language, too.
func TestOdooFormsInFrench(t *testing.T) {
	odoo := needOdoo(t)
	e := odoo.behind(t, nil)
	for _, line := range []string{"Accept-Language: fr", "Cookie: frontend_lang=fr_FR"} {
		for _, path := range []string{"/web/login", "/fr/web/login"} {
			r := e.visitor(shopHost, line).post(path, url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {tokenPlaceholder}})
			assert.Equal(t, http.StatusSeeOther, r.status, "%s %s: %s", line, path, r.cacheStatus())
		}
	}
}
