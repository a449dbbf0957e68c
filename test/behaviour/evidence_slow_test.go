package behaviour_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestSlowReadersDoNotTakeTheRoom: whoever slowly reads what is too large to be compared does not keep
// others from being settled.
func TestSlowReadersDoNotTakeTheRoom(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, size := range []int{12 << 20} {
			s, odoo := newShopLike(t, load, site.Options{"limits": site.Options{"evidence": "1"}})
			s.Answers(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/a/large" {
					site.Page("<html>"+strings.Repeat("x", size), "Content-Type: text/html")(rw, r)
					return
				}
				odoo.serve(rw, r)
			})
			s.Get("/a/1")
			c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			require.NoError(t, err)
			defer func() { _ = c.Close() }()
			_, err = fmt.Fprintf(c, "GET /a/large HTTP/1.1\r\nHost: shop.example\r\n%s%s\r\n\r\n", sessionOfShop, site.SessionID(5))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return s.Renders() > 1 }, 5*time.Second, 10*time.Millisecond)
			settled(t, s, "/a/1", sessionOfShop+site.SessionID(7))
		}
	})
}
