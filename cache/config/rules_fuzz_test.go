package config_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/rule"
)

// FuzzRules: any rules are refused with an error that names a field, or work for
// any request.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{
		`[{"ttl":"10m","match":{"pathPrefixes":["/shop"]}}]`, `[{"bypass":"true","match":{"hosts":["*.example"],"methods":["GET"]}}]`,
		`[{"match":{"pathRegexp":"^/(a|b)$","query":{"q":"*"},"anyQuery":{"x*":""},"headers":{"X-A":"b"}},"vary":{"languages":["en_US"],"cookies":["c"],"headers":["X-B"]}}]`,
		`[{"ttl":"-1","grace":"x","status":["99"],"override":["y"]}]`, `[{"match":{"pathRegexp":"("}}]`, `[{}]`, `[]`,
	} {
		f.Add(seed, "/shop?q=1&x1=2", "c=d; frontend_lang=fr_FR", "fr;q=0.5, en")
	}
	f.Fuzz(func(t *testing.T, text, target, cookie, accept string) {
		c := option.Default()
		if json.Unmarshal([]byte(text), &c.Rules) != nil || len(c.Rules) > 50 {
			return
		}
		s, err := config.Build(c)
		if err != nil {
			require.ErrorIs(t, err, config.ErrConfig)
			require.Contains(t, err.Error(), "rules")
			return
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: u, Host: "a.example", Header: http.Header{"Cookie": {cookie}, "Accept-Language": {accept}, "X-A": {"b"}}}
		got, _ := rule.First(s.Plan, s.Default, r.Method, r.Host, r.URL.Path, r)
		require.NotNil(t, got)
		parts, _ := got.Dimensions(r)
		again := &http.Request{Method: http.MethodGet, URL: u, Host: "a.example"}
		var robot bool
		var cookies []string
		if again.Header, cookies, robot = rule.Asking(got, parts); len(cookies) > 0 {
			again.Header["Cookie"] = []string{strings.Join(cookies, "; ")}
		}
		if robot {
			again.Header["User-Agent"] = []string{"bot"}
		}
		same, sure := got.Dimensions(again)
		require.Equal(t, parts, same, "a request that is built from the key has the same key")
		require.True(t, sure)
	})
}
