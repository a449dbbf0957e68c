package traefik_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/poison"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// ownedFields are fields in which an application may say something of its visitor.
var ownedFields = strings.Fields(`
	Access-Control-Allow-Origin Alt-Svc Cache-Group-Invalidation Cache-Groups Cache-Status Cache-Tag Content-Disposition Content-Language Content-Location Content-Security-Policy
	Etag Link Location Nel P3p Permissions-Policy Pragma Proxy-Status Refresh Report-To Retry-After Server Server-Timing Set-Cookie Sourcemap Surrogate-Key Tk Via Warning
	Www-Authenticate X-Accel-Expires X-Cart X-Csrf-Token X-Customer X-Debug X-Partner X-Powered-By X-Request-Id X-Runtime X-Session X-User Xkey`)

// personalAddresses are addresses with something personal in them; %s is the marker.
var personalAddresses = []string{
	"/my/%s@mail.example", "/unsubscribe/%s%%40mail.example", "/fr/mailing/%s%%2540mail.example", "/shop?email=%s", "/shop?Email=%s%%40mail.example", "/shop?a=%s@mail.example", "/shop?my_name=%s",
	"/shop?phone=%s", "/shop?login=%s", "/shop?access_token=%s", "/shop?token=%s", "/web/reset_password?token=%s", "/my/orders/7?access_token=%s", "/shop?partner_id=%s", "/shop?x=%sAbCdEfGh12345678901234567890",
	"/r/%sAbCdEfGh12345678901234567890", "/contactus?email_from=%s", "/shop?vat=%s", "/shop?street=%s", "/shop?a[email]=%s", "/web/login?login=%s", "/web/signup?token=%s&name=%s",
}

// TestTraefikTellsNothingPersonal: whatever visitors send, and the application answers them, none
// of it is in Redis, in a line of the log, in a metric, in Cache-Status or in an answer of
// the control endpoint. What everybody may know is: the addresses of pages.
func TestTraefikTellsNothingPersonal(t *testing.T) {
	server := stack.StartRedis(t)
	n := 0
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		lines := []string{"Content-Type: text/html; charset=utf-8", "X-Odoo-Cache: public, ttl=600"}
		sign, owner := `"is_public": true`, ""
		if owned := r.Header.Get("X-Owner"); owned != "" { // Odoo knows who that is, by a session or else
			sign, owner = `"is_public": false`, "<p>"+owned+"</p>"
			for _, name := range ownedFields {
				value := owned
				switch name {
				case "Etag":
					value = `"` + owned + `"`
				case "Set-Cookie":
					value = "visitor=" + owned
				case "Location":
					value = "/my/" + owned
				}
				lines = append(lines, name+": "+value)
			}
		}
		if r.URL.Path == "/begins" {
			lines = append(lines, "Set-Cookie: session_id="+r.Header.Get("X-Begins"))
		}
		if strings.HasPrefix(r.URL.Path, "/my") || r.Method == http.MethodPost {
			lines = append(lines, "X-Odoo-Purge: res_partner_7")
		}
		site.Page(site.HTMLPage("a page "+sign+owner), lines...)(rw, r)
	})
	origin.Config.MaxHeaderBytes = 4 << 20
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"": {
		"preset": "odoo", "languages": []string{"en_US", "fr_FR"}, "tenant": "personal", "logLevel": "debug", "compression": "0", "purge": site.Options{"secret": site.TraefikSecret},
		"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
	}}), "--log.level=DEBUG", "--metrics.prometheus.addRoutersLabels=true")

	names, open := map[string]string{}, map[string]bool{}
	hits, refused := 0, 0
	ask := func(q *poison.Request, name string, isOpen bool) {
		marker := poison.MarkerOf(100000+n, "a")
		names[marker], open[marker] = name, isOpen
		if got, err := q.OnWire(p.URL); err != nil {
			refused++
		} else {
			_, own, _ := strings.Cut(got.CacheStatus(), "odoocache")
			assert.NotRegexp(t, poison.Marker, own, "%s: the member that the cache adds", name)
		}
		for _, of := range []func(string) *poison.Request{poison.NobodyAt, poison.BrowserAt} {
			got, err := of("/shop").OnWire(p.URL)
			require.NoError(t, err, name)
			if strings.Contains(got.CacheStatus(), "; hit") {
				hits++
			}
			require.NotRegexp(t, poison.Marker, got.Body+fmt.Sprint(got.Header), "%s is shown to others", name)
		}
		n++
	}
	sessions := []string{}
	for i := 0; i < 5; i++ { // they are known from their beginning
		id := site.SessionID(7000 + i)
		sessions = append(sessions, id)
		p.Get("/begins", "Host: shop.example", "X-Begins: "+id, "Cookie: lang=en")
		p.Get("/shop", "Host: shop.example", "Cookie: session_id="+id)
		p.Get("/shop/cart", "Host: shop.example", "Cookie: session_id="+id)
	}
	for _, way := range poison.Oddities() {
		q := poison.BrowserAt("/shop")
		marker := poison.MarkerOf(100000+n, "a")
		owner := poison.MarkerOf(100000+n, "b")
		names[owner] = "what the application answers to " + way.Name
		way.Do(q, marker)
		q.Lines = append(q.Lines, "X-Owner: "+owner)
		if n%2 == 0 {
			q.Cookies = append(q.Cookies, "session_id="+site.SessionID(n))
		}
		database := strings.Contains(way.Name, "X-Odoo-Database: ") || strings.Contains(way.Name, "X-Odoo-Dbfilter: ") // they choose the database, as a host does
		ask(q, way.Name, way.Open || database)
	}
	for _, pattern := range personalAddresses {
		for _, session := range []bool{false, true} {
			marker := poison.MarkerOf(100000+n, "a")
			q := poison.BrowserAt(strings.ReplaceAll(strings.ReplaceAll(pattern, "%s", marker), "%%", "%"))
			if session {
				q.Cookies = append(q.Cookies, "session_id="+site.SessionID(n))
			}
			ask(q, pattern, false)
		}
	}
	for _, body := range []string{"name=%s&email=%s%%40mail.example", `{"jsonrpc":"2.0","params":{"email":"%s@mail.example"}}`} {
		q := poison.BrowserAt("/website/form/crm.lead")
		q.Method = http.MethodPost
		q.Body = strings.ReplaceAll(body, "%s", poison.MarkerOf(100000+n, "a"))
		ask(q, "a form", false)
	}
	require.Greater(t, n-refused, 300)
	require.Greater(t, hits, n, "the cache is on")

	manage := func(method, path, body string, lines ...string) string {
		got, err := site.Send(method, p.URL+path, body, site.Fields(append(lines, "Host: shop.example")...))
		require.NoError(t, err)
		return got.Body + fmt.Sprint(got.Header)
	}
	places := map[string]string{
		"status":         manage(http.MethodGet, "/.odoocache/status", "", site.WithKey),
		"purge":          manage(http.MethodPost, "/.odoocache/purge", `{"tags":["res_partner_7"]}`, site.WithKey),
		"refused":        manage(http.MethodPost, "/.odoocache/purge", `{"tags":["res_partner_7"]}`, "Authorization: Bearer "+poison.MarkerOf(999999, "a"), "X-Odoocache-Secret: "+poison.MarkerOf(999999, "b")),
		"refused items":  manage(http.MethodPost, "/.odoocache/purge", `{"tags":["`+poison.MarkerOf(999998, "a")+`@mail.example"]}`, "Authorization: Bearer x"),
		"metrics":        p.Metrics(),
		"Traefik's log":  strings.Join(p.LogWith("odoocache:"), "\n"),
		"Redis, by keys": "",
	}
	for key, text := range poison.RedisValues(t, &goredis.Options{Addr: server.Address}) {
		places["Redis, by keys"] += key + "\n"
		places["Redis, "+key] = text
	}
	require.Contains(t, places["Traefik's log"], "GET shop.example/shop: odoocache; hit")
	require.Contains(t, places["metrics"], "traefik_router_requests_total")
	require.NotEmpty(t, server.Must("ZRANGE oc:{personal}:sessions 0 -1"), "sessions are known")
	for place, text := range places {
		for _, id := range sessions {
			assert.NotContains(t, text, id, "%s has a session", place)
		}
		for _, found := range poison.Marker.FindAllString(text, -1) {
			if open[found] && (strings.HasPrefix(place, "Redis, oc:") || place == "Traefik's log") { // it is part of an address or a key's name
				continue
			}
			at := strings.Index(text, found)
			assert.Fail(t, "something personal", "%s has %s (%s): %.160q", place, found, names[found], text[max(0, at-100):min(len(text), at+60)])
		}
	}
}
