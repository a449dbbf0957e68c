package odoo_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/odoo"
)

// TestOnlyReads: which calls of the mail store change nothing. The bodies are what the browsers
// of Odoo 18 and 19 send with a live chat, reviews and comments, and what they are not to be
// taken for.
func TestOnlyReads(t *testing.T) {
	for body, want := range map[string]bool{
		`{"id":0,"jsonrpc":"2.0","method":"call","params":{"fetch_params":["failures","systray_get_activities",["init_messaging",{}]],"context":{"lang":"en_US"}}}`: true,
		`{"params":{"fetch_params":[["init_messaging",{"channel_types":["livechat"]}],["init_livechat",1]],"context":{}}}`:                                          true,
		`{"params":{"fetch_params":[["mail.thread",{"thread_model":"product.template","thread_id":9,"request_list":["messages"]},3]]}}`:                             true,
		`{"params":{"fetch_params":[]}}`: true,
		`{"params":{"init_messaging":{"channel_types":["livechat"]},"failures":true,"systray_get_activities":true,"context":{"lang":"en"}}}`: true,
		`{"params":{"fetch_params":[["/discuss/create_channel",{"name":"x"}]]}}`:                                                             false,
		`{"params":{"fetch_params":["init_messaging",["/discuss/get_or_create_chat",{"partners_to":[3]}]]}}`:                                 false,
		`{"params":{"fetch_params":"init_messaging"}}`:                                                                                       false,
		`{"params":{"fetch_params":[{"name":"init_messaging"}]}}`:                                                                            false,
		`{"params":{"fetch_params":[[]]}}`:                                                                                                   false,
		`{"params":{"fetch_params":[null]}}`:                                                                                                 false,
		`{"params":{"init_messaging":{},"something_new":true}}`:                                                                              false,
		`{"params":{"fetch_params":["/discuss/x"]},"PARAMS":{"fetch_params":[]}}`:                                                            false,
		`{"params":{"fetch_params":[]},"params":{"fetch_params":["/discuss/x"]}}`:                                                            false,
		`{"params":{}}`: false,
		`{}`:            false,
		`[]`:            false,
		`{"params":{"fetch_params":["init_messaging"]}} {`: false,
		`fetch_params=init_messaging`:                      false,
		``:                                                 false,
	} {
		assert.Equal(t, want, odoo.OnlyReads("/mail/action", []byte(body)), body)
	}
}

// TestAChatThatOnlyOpens: nothing is kept of a chat in which nothing has been said.
func TestAChatThatOnlyOpens(t *testing.T) {
	for body, want := range map[string]bool{
		`{"id":1,"jsonrpc":"2.0","method":"call","params":{"channel_id":1,"previous_operator_id":null,"persisted":false}}`: true,
		`{"params":{"channel_id":1,"chatbot_script_id":2,"persisted": false }}`:                                            true,
		`{"params":{"channel_id":1,"persisted":true}}`:                                                                     false,
		`{"params":{"channel_id":1,"persisted":"false"}}`:                                                                  false,
		`{"params":{"channel_id":1,"persisted":false,"persisted":true}}`:                                                   false,
		`{"params":{"channel_id":1,"Persisted":false}}`:                                                                    false,
		`{"params":{"channel_id":1}}`:                                                                                      false,
		`{"params":{}}`:                                                                                                    false,
		`{"persisted":false}`:                                                                                              false,
		`persisted=false`:                                                                                                  false,
	} {
		assert.Equal(t, want, odoo.OnlyReads("/im_livechat/get_session", []byte(body)), body)
		assert.Equal(t, want, odoo.OnlyReads("/fr/im_livechat/get_session", []byte(body)), body)
		assert.False(t, odoo.OnlyReads("/mail/action", []byte(body)), body)
	}
	assert.False(t, odoo.OnlyReads("/im_livechat/get_session", []byte(`{"params":{"fetch_params":["init_messaging"]}}`)))
}

// TestSignsOut: the one address that ends a session.
func TestSignsOut(t *testing.T) {
	for path, want := range map[string]bool{
		"/web/session/logout": true, "/fr/web/session/logout": false, "/web/session/logout/": true, "/web/session/logout/x": false, "/web/session/account": false, "/": false,
	} {
		assert.Equal(t, want, odoo.SignsOut(path), path)
	}
}

// TestSamePage: what counts as the same, and that nothing else does.
func TestSamePage(t *testing.T) {
	const token, other = "0123456789abcdef0123456789abcdef01234567o1999999999", "f123456789abcdef0123456789abcdef01234567o1888888888"
	page := func(token, quote, rest string) []byte {
		return []byte(`<html>csrf_token: ` + quote + token + quote + rest)
	}
	for _, c := range []struct {
		one, two []byte
		same     bool
	}{
		{page(token, `"`, "x"), page(other, `"`, "x"), true},
		{page(token, `"`, "x"), page(other, `'`, "x"), true},
		{page(token, `"`, "x"), page(odoo.Placeholder, `"`, "x"), true},
		{page(token, `"`, "x"), page(other, `"`, "y"), false},
		{page(token, `"`, `'x'`), page(token, `"`, `"x"`), false},
		{page(token, `"`, "x"), page("", `"`, "x"), false},
		{page(token, `"`, "x"), page(token[:50], `"`, "x"), false},
		{nil, page(token, `"`, "x"), false},
	} {
		assert.Equal(t, c.same, odoo.SamePage(c.one, c.two), "%s %s", c.one, c.two)
		assert.Equal(t, c.same, odoo.SamePage(c.two, c.one), "%s %s", c.two, c.one)
	}
}

// TestBarePath: what counts as the same address in another language.
func TestBarePath(t *testing.T) {
	for path, want := range map[string]string{
		"/": "", "/fr": "", "/fr/": "", "/fr_BE/shop/": "/shop", "/shop/": "/shop", "/sr@latin/a": "/a",
		"/web/login": "/web/login", "/my/": "/my", "/my/orders": "/my/orders", "/my_MM/shop": "/shop", "/fr/web/login": "/web/login",
	} {
		assert.Equal(t, want, odoo.BarePath(path), path)
	}
}
