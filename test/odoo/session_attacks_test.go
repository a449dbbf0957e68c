package odoo

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestOdooSessionsChangedUnnoticed: what a visitor did to a session of theirs
// shows on nobody else's page.
func TestOdooSessionsChangedUnnoticed(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	product := odoo.Pages(t)["product"]
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
			return []string{"Cookie: session_id=" + id, "Connection: Upgrade", "Upgrade: websocket", "Origin: http://" + ShopHost,
				"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
		}},
		{"pricelist, by an escaped id", "GET", "/shop/change_pricelist/eur-eur-3", "", func(id string) []string {
			return []string{"Cookie: session_id=" + site.Escaped(id)}
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
			v := e.Visitor(ShopHost, BrowserLanguage)
			v.Get("/website/translations?lang=en_US")
			id := v.cookie("session_id")
			require.NotEmpty(t, id)
			sendRaw(t, e.URL, c.method, c.path, c.body, c.lines(id)...)
			v.Get(page)
			requireSame(t, masked(odoo.Visitor(t, ShopHost).Get(page).Body), masked(e.Visitor(ShopHost, BrowserLanguage).Get(page).Body), "what others get")
		})
	}
}

// sendRaw sends a request line by line, and waits for the head of the answer.
func sendRaw(t *testing.T, address, method, path, body string, lines ...string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(stack.Patience)))
	text := method + " " + path + " HTTP/1.1\r\nHost: " + ShopHost + "\r\n" + BrowserLanguage + "\r\n" + strings.Join(lines, "\r\n") + "\r\n"
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
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	e.Visitor(ShopHost, BrowserLanguage).Get("/contactus")
	v := e.Visitor(ShopHost, BrowserLanguage)
	v.Get("/website/translations?lang=en_US")
	sendRaw(t, e.URL, http.MethodGet, "/websocket", "", "Cookie: session_id="+v.cookie("session_id"), "Connection: Upgrade", "Upgrade: websocket",
		"Origin: http://"+ShopHost, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	assert.Contains(t, v.Get("/contactus").CacheStatus(), "; hit")
}

// TestOdooLanguageOfASession: a session that Odoo has saved has a language of its
// own, which goes before Accept-Language where frontend_lang names none of the
// website's languages (http_routing/models/ir_http.py, _match: context_lang).
func TestOdooLanguageOfASession(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	for i, cookie := range []string{"", "frontend_lang=zz_ZZ; ", "frontend_lang=; "} {
		t.Run("with "+cookie, func(t *testing.T) {
			page := fmt.Sprintf("/contactus?n=%d", i)
			v := e.Visitor(ShopHost, BrowserLanguage)
			v.Get("/website/translations?lang=en_US")
			id := v.cookie("session_id")
			require.NotEmpty(t, id)
			v.Get(fmt.Sprintf("/shop?n=%d", i)) // saves the session
			_, err := site.Send(http.MethodGet, e.URL+page, "", site.Fields("Host: "+ShopHost, "Cookie: "+cookie+"session_id="+id, "Accept-Language: fr"))
			require.NoError(t, err)
			got := e.Visitor(ShopHost, "Accept-Language: fr").Get(page)
			assert.Equal(t, http.StatusSeeOther, got.Status, "a French visitor is sent to /fr%s; %s", page, got.CacheStatus())
		})
	}
}

// TestOdooFormsInFrench: the page that a token is taken from is sent elsewhere by
// language, too.
func TestOdooFormsInFrench(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	for _, line := range []string{"Accept-Language: fr", "Cookie: frontend_lang=fr_FR"} {
		for _, path := range []string{"/web/login", "/fr/web/login"} {
			r := e.Visitor(ShopHost, line).post(path, url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {site.TokenPlaceholder}})
			assert.Equal(t, http.StatusSeeOther, r.Status, "%s %s: %s", line, path, r.CacheStatus())
		}
	}
}
