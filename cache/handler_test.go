package cache

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
)

// TestHandlersShareInPeace: tenants whose options are the same share what these make, and
// nothing that their requests do changes it. The race detector sees to the rest.
func TestHandlersShareInPeace(t *testing.T) {
	settings := func(tenant string) *config.Settings {
		c := option.Default()
		secret := "the-secret-of-" + tenant
		c.Tenant, c.Preset, c.Languages, c.Purge.Secret = tenant, "odoo", []string{"en_US", "fr_FR"}, &secret
		c.Country.Header, c.Fill.Headers = "CF-IPCountry", []string{"X-Shop"}
		s, err := config.Build(c)
		require.NoError(t, err)
		return s
	}
	shown := func(s *config.Settings) string { // expressions by their text, functions and sets by their address
		text := fmt.Sprintf("%+v %+v %+v %+v %+v %+v\n", *commonOf(s), *s.Default, s.Limits, s.Fill, s.Purge.Networks, *s.Plan)
		for _, r := range s.Rules {
			text += fmt.Sprintf("%+v\n", *r)
		}
		return text
	}
	first := settings("peace0")
	before := shown(first)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		tenant := fmt.Sprintf("peace%d", i)
		s := settings(tenant)
		require.Same(t, first.Plan, s.Plan)
		require.Same(t, commonOf(first), commonOf(s))
		h := New(ctx, s, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			rw.Header().Set("X-Odoo-Cache", "public, ttl=60")
			rw.Header().Set("Surrogate-Key", "page website_1")
			_, _ = fmt.Fprintf(rw, "<html><body>%s %s %s</body></html>", tenant, r.Header.Get("X-Shop"), r.URL)
		}), Acquire(ctx, s.Storage))
		for j := 0; j < 4; j++ {
			wg.Add(1)
			go func(j int) {
				defer wg.Done()
				for n := 0; n < 60; n++ {
					method, path := http.MethodGet, []string{"/shop", "/shop?utm_source=x&page=2", "/my", "/web/image/product.template/7/image_512", "/about", "/shop/cart", "/x?who=a%40b"}[(n+j)%7]
					if n%10 == 9 {
						method = http.MethodPost
					}
					r := httptest.NewRequest(method, "http://shop.example"+path, nil)
					r.Header = http.Header{
						"X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"shop.example"}, "Accept": {"text/html"}, "Accept-Language": {[]string{"fr", "en"}[n%2]},
						"Cf-Ipcountry": {"BE"}, "X_Shop": {"forged"},
					}
					if n%3 == 0 {
						r.Header.Set("Cookie", "frontend_lang=fr_FR; a=1")
						r.Header.Set("X-Shop", "s")
					}
					rw := httptest.NewRecorder()
					h.ServeHTTP(rw, r)
					if strings.HasPrefix(path, "/x") || path == "/my" {
						rw.Header().Add("Cache-Status", "front") // as a middleware in front may
					}
					if !assert.Equal(t, http.StatusOK, rw.Code, path) || !assert.Contains(t, rw.Body.String(), ">"+tenant+" ") {
						return
					}
				}
			}(j)
		}
	}
	wg.Wait()
	assert.Equal(t, before, shown(first))
}

// TestNetworks: whatever form an address has, what is sent in its place is that of its network.
func TestNetworks(t *testing.T) {
	for address, want := range map[string]string{
		"81.2.69.160": "81.2.69.0", "81.2.69.160:51234": "81.2.69.0", "::ffff:81.2.69.160": "81.2.69.0", "[::ffff:81.2.69.160]:80": "81.2.69.0",
		"2001:DB8:1:2::1": "2001:db8:1::", "2001:0db8:0001:0002:0000:0000:0000:0001": "2001:db8:1::", "[2001:db8:1:2::1]:443": "2001:db8:1::", "fe80::1%eth0": "fe80::",
		"": "", "unknown": "", "_hidden": "", "81.2.69": "", "81.2.69.160, 1.2.3.4": "", "&#56;1.2.69.160": "",
	} {
		assert.Equal(t, want, networkOf(address), address)
	}
}
