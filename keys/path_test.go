package keys_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/keys"
)

func TestRoutedPath(t *testing.T) {
	for _, c := range []struct {
		sent, want string
		unsure     bool
	}{
		{sent: "/", want: "/"},
		{sent: "/shop", want: "/shop"},
		{sent: "/shop/", want: "/shop/"},
		{sent: "/s%68op", want: "/shop"},
		{sent: "//shop", want: "/shop"},
		{sent: "///shop////cart//", want: "/shop/cart/"},
		{sent: "/caf%C3%A9", want: "/café"},
		{sent: "/caf%c3%a9", want: "/café"},
		{sent: "/a%20b+c", want: "/a b+c"},
		{sent: "/100%25-wool", want: "/100%-wool"},
		{sent: "/a%3Fb%23c", want: "/a?b#c"},
		{sent: "/a.b/..c/.d/e..", want: "/a.b/..c/.d/e.."},
		{sent: "/%2fshop/cart", want: "/shop/cart", unsure: true},
		{sent: "/shop%2Fcart", want: "/shop/cart", unsure: true},
		{sent: "/shop%5ccart", want: `/shop\cart`, unsure: true},
		{sent: "/shop%252fcart", want: "/shop%2fcart", unsure: true},
		{sent: "/shop/%2e%2e/my", want: "/shop/../my", unsure: true},
		{sent: "/shop/%252e%252e/my", want: "/shop/%2e%2e/my", unsure: true},
		{sent: "/shop/../my", want: "/shop/../my", unsure: true},
		{sent: "/shop/./my", want: "/shop/./my", unsure: true},
		{sent: "/shop/..", want: "/shop/..", unsure: true},
		{sent: "/shop;x=1", want: "/shop;x=1", unsure: true},
		{sent: "/shop%3Bx", want: "/shop;x", unsure: true},
		{sent: "/shop%00", want: "/shop\x00", unsure: true},
		{sent: "/shop%0a", want: "/shop\n", unsure: true},
		{sent: "/shop%7f", want: "/shop\x7f", unsure: true},
		{sent: `/shop\cart`, want: `/shop\cart`, unsure: true},
	} {
		t.Run(c.sent, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			u, err := r.URL.Parse(c.sent)
			require.NoError(t, err)
			if strings.HasPrefix(c.sent, "//") {
				u.Host, u.Path = "", c.sent // as a server reads it
			}
			if strings.Contains(c.sent, "..") || strings.Contains(c.sent, "/./") {
				u.Path = c.sent // Parse has resolved it
				if strings.Contains(c.sent, "%") {
					u.Path, u.RawPath = c.want, c.sent
				}
			}
			path, sure := keys.RoutedPath(u)
			assert.Equal(t, c.want, path)
			assert.Equal(t, !c.unsure, sure)
		})
	}
}

func FuzzRoutedPath(f *testing.F) {
	for _, seed := range []string{"/shop", "//a//b", "/a%2fb", "/%2e%2e/", "/\x00;", "/a%", "/é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		r, err := http.NewRequest(http.MethodGet, "http://shop.example/", nil)
		require.NoError(t, err)
		u, err := r.URL.Parse("/" + strings.TrimLeft(sent, "/"))
		if err != nil || u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return
		}
		path, sure := keys.RoutedPath(u)
		if !sure {
			return
		}
		// What the cache sends is read as the same path, and is sure.
		again, err := r.URL.Parse(keys.EscapePath(path))
		require.NoError(t, err)
		same, sure := keys.RoutedPath(again)
		assert.Equal(t, path, same)
		assert.True(t, sure, "%q of %q", keys.EscapePath(path), sent)
	})
}
