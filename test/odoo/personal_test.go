package odoo

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/poison"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestOdooTellsNothingPersonal: a customer and a guest do what people do in a shop, and all that is
// theirs is marked: what they type, what Odoo knows of them, their sessions. Then none of it is in
// Redis, in the log at debug, in a metric, in an answer of the control endpoint or on a page that
// others get.
func TestOdooTellsNothingPersonal(t *testing.T) {
	o := NeedOdoo(t)
	server := stack.StartRedis(t)
	e := o.replicaWith(t, server, site.Options{"logLevel": "debug", "compression": "0"}, "--log.level=DEBUG")
	marks := 300000
	mark := func() string {
		marks++
		return poison.MarkerOf(marks, "a")
	}
	admin := o.Visitor(t, ShopHost)
	admin.SignIn("admin")
	portal := admin.read("res.users", []interface{}{[]interface{}{"login", "=", "portal"}}, "partner_id")
	require.Len(t, portal, 1)
	partner, _ := portal[0]["partner_id"].([]interface{})
	require.NotEmpty(t, partner)
	id, _ := partner[0].(float64)
	for _, field := range []string{"name", "phone", "street", "street2", "city", "zip", "vat", "website", "function", "comment"} {
		value := mark()
		if field == "website" {
			value = "https://" + value + ".example"
		}
		if field == "vat" {
			value = "/"
		}
		admin.change("res.partner", int(id), field, value)
	}
	admin.change("res.partner", int(id), "email", mark()+"@mail.example")

	product := o.Pages(t)["product"]
	template, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	variant := FirstVariant(t, o, template)
	pages := []string{"/", "/shop", product, o.Pages(t)["blog post"], "/contactus", "/forum", "/event", "/web/login", "/shop/cart"}
	var secrets []string
	visit := func(v *Visitor, more ...string) {
		for _, path := range append(pages, more...) {
			v.Get(path)
		}
		v.rpc("/shop/cart/add", site.Options{"product_template_id": template, "product_id": variant, "quantity": 1})
		for _, path := range append(pages, "/shop/checkout", "/shop/address", "/shop/payment", "/shop/wishlist") {
			v.Get(path)
		}
		form := v.Get("/contactus")
		v.post("/website/form/crm.lead", url.Values{
			"contact_name": {mark()}, "email_from": {mark() + "@mail.example"}, "phone": {mark()}, "partner_name": {mark()}, "name": {mark()}, "description": {mark()}, "csrf_token": {tokenIn(form.Body)},
		})
		v.post("/website_mass_mailing/subscribe", url.Values{"value": {mark() + "@mail.example"}})
		for _, path := range []string{"/my/" + mark() + "@mail.example", "/shop?email=" + mark(), "/web/reset_password?token=" + mark(), "/my/orders?access_token=" + mark(), "/unsubscribe/" + mark() + "%40mail.example"} {
			v.Get(path)
		}
		if session := v.cookie("session_id"); session != "" {
			secrets = append(secrets, session)
		}
	}
	customer := e.Visitor(ShopHost, "User-Agent: "+mark(), "Referer: https://"+mark()+".example/", "X-Forwarded-For: 192.0.2.77")
	customer.SignIn("portal")
	visit(customer, "/my", "/my/home", "/my/account", "/my/orders", "/my/quotes")
	page := customer.Get("/my/account")
	require.Regexp(t, poison.Marker, page.Body, "Odoo shows them what is theirs")
	visit(e.Visitor(ShopHost, "User-Agent: "+mark(), "Cookie: own="+mark()))
	require.Len(t, secrets, 2)

	for round := 0; round < 3; round++ {
		for _, path := range pages {
			r := e.Visitor(ShopHost).Get(path)
			assert.NotRegexp(t, poison.Marker, r.Body+fmt.Sprint(r.Header), "%s is shown to others", path)
		}
	}
	manage := func(method, path, body string) string {
		got, err := site.Send(method, e.URL+path, body, site.Fields("Host: "+ShopHost, site.WithKey))
		require.NoError(t, err)
		return got.Body + fmt.Sprint(got.Header)
	}
	lines := e.LogWith("odoocache:")
	places := map[string]string{
		"the log": strings.Join(lines, "\n"), "metrics": e.Metrics(),
		"status": manage(http.MethodGet, "/.odoocache/status", ""), "purge": manage(http.MethodPost, "/.odoocache/purge", `{"tags":["res_partner_7"]}`),
	}
	for key, text := range poison.RedisValues(t, &goredis.Options{Addr: server.Address}) {
		places["Redis, "+key] = key + "\n" + text
	}
	require.Greater(t, len(places), 8, "pages are stored")
	require.Greater(t, len(lines), 60)
	personal := regexp.MustCompile(poison.Marker.String() + "|192\\.0\\.2\\.77|" + strings.Join(secrets, "|"))
	for place, text := range places {
		for _, at := range personal.FindAllStringIndex(text, 3) {
			assert.Fail(t, "something personal", "%s: %.200q", place, text[max(0, at[0]-100):min(len(text), at[1]+60)])
		}
	}
}

// tokenIn is the CSRF token of a form, empty if there is none.
func tokenIn(page string) string {
	if m := regexp.MustCompile(`name="csrf_token"[^>]*value="([^"]+)"`).FindStringSubmatch(page); m != nil {
		return m[1]
	}
	return ""
}
