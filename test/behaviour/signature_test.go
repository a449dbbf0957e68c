package behaviour_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

var nonceNumber atomic.Int64

// newNonce returns a nonce that no other test has.
func newNonce() string {
	return fmt.Sprintf("nonce-%d-%d", time.Now().UnixNano(), nonceNumber.Add(1))
}

// signature is what a request to the control endpoint is signed by. It is written from
// docs/purging.md, apart from the plugin.
type signature struct {
	secret, at, nonce, tenant, host, method, target, mode, items, body string
}

func (s signature) line() string {
	mac := hmac.New(sha256.New, []byte(s.secret))
	fmt.Fprintf(mac, "odoocache-v2\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s", s.at, s.nonce, s.tenant, s.host, s.method, s.target, s.mode, s.items, s.body)
	return fmt.Sprintf("X-Odoocache-Signature: t=%s,n=%s,v2=%x", s.at, s.nonce, mac.Sum(nil))
}

const signingSecret = "change-me-please"

// purgeSignature is the signature of a purge of the tag a, sent to a site now.
func purgeSignature(s *site.Site) signature {
	return signature{
		secret: signingSecret, at: fmt.Sprint(time.Now().Unix()), nonce: newNonce(), tenant: s.Options["tenant"].(string),
		host: strings.TrimPrefix(s.URL, "http://"), method: "POST", target: "/.odoocache/purge", body: `{"tags":["a"]}`,
	}
}

// TestSignedPurges: a signature stands for the secret, for one request.
func TestSignedPurges(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"purge": site.Options{"secret": signingSecret}}, site.Page("x"))
		now := time.Now().Unix()
		for _, c := range []struct {
			name   string
			change func(g *signature)
			want   int
		}{
			{"right", func(*signature) {}, 200},
			{"a little old", func(g *signature) { g.at = fmt.Sprint(now - 200) }, 200},
			{"a clock that is fast", func(g *signature) { g.at = fmt.Sprint(now + 200) }, 200},
			{"too old", func(g *signature) { g.at = fmt.Sprint(now - 400) }, 403},
			{"of the future", func(g *signature) { g.at = fmt.Sprint(now + 400) }, 403},
			{"another secret", func(g *signature) { g.secret = "another-secret" }, 403},
			{"another tenant", func(g *signature) { g.tenant = "other" }, 403},
			{"another host", func(g *signature) { g.host = "other.example" }, 403},
			{"another method", func(g *signature) { g.method = "PURGE" }, 403},
			{"another target", func(g *signature) { g.target = "/.odoocache/status" }, 403},
			{"another query", func(g *signature) { g.target += "?a" }, 403},
			{"soft", func(g *signature) { g.mode = "soft" }, 403},
			{"other items", func(g *signature) { g.items = "*" }, 403},
			{"another body", func(g *signature) { g.body = `{"tags":["b"]}` }, 403},
			{"a short nonce", func(g *signature) { g.nonce = "123456789012345" }, 403},
			{"the shortest nonce", func(g *signature) { g.nonce = newNonce()[6:22] }, 200},
			{"a long nonce", func(g *signature) { g.nonce += strings.Repeat("x", 64) }, 403},
			{"an odd nonce", func(g *signature) { g.nonce += "." }, 403},
			{"an odd time", func(g *signature) { g.at = "+" + g.at }, 403},
		} {
			g := purgeSignature(s)
			body := g.body
			c.change(&g)
			assert.Equal(t, c.want, s.Do("POST", "/.odoocache/purge", body, g.line()).Status, c.name)
		}
		good := purgeSignature(s)
		for _, line := range []string{
			"X-Odoocache-Signature: x", "X-Odoocache-Signature:", strings.Replace(good.line(), "v2=", "v1=", 1), strings.Replace(good.line(), ",n=", ",m=", 1),
			good.line() + ",t=1", good.line()[:len(good.line())-2],
		} {
			assert.Equal(t, 403, s.Do("POST", "/.odoocache/purge", good.body, line).Status, line)
		}
		assert.Equal(t, 403, s.Do("POST", "/.odoocache/purge", good.body, good.line(), "X-Odoocache-Signature: x").Status, "two of them")
		assert.Equal(t, 200, s.Do("POST", "/.odoocache/purge", good.body, good.line()).Status, "what was refused did not use the nonce up")
	})
}

// TestSignedPurgesAreTakenOnce: whoever listens can do nothing with what was sent.
func TestSignedPurgesAreTakenOnce(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		purge := site.Options{"secret": signingSecret}
		s := site.New(t, load, site.Options{"purge": purge}, site.Page("x"))
		g := purgeSignature(s)
		require.Equal(t, 200, s.Do("POST", "/.odoocache/purge", g.body, g.line()).Status)
		again := s.Do("POST", "/.odoocache/purge", g.body, g.line())
		assert.Equal(t, 403, again.Status)
		assert.Contains(t, again.Body, "used before")

		g = purgeSignature(s)
		g.method, g.target, g.body, g.items, g.mode = "PURGE", "/shop?page=2", "", "a,b", "hard"
		for _, c := range []struct {
			name, path string
			lines      []string
			want       int
		}{
			{"with the soft mode", g.target, []string{"X-Odoo-Purge: a,b", "X-Odoocache-Purge-Mode: soft"}, 403},
			{"without its mode", g.target, []string{"X-Odoo-Purge: a,b"}, 403},
			{"with one mode more", g.target, []string{"X-Odoo-Purge: a,b", "X-Odoocache-Purge-Mode: hard", "X-Odoocache-Purge-Mode: hard"}, 403},
			{"with another item", g.target, []string{"X-Odoo-Purge: a,b,c", "X-Odoocache-Purge-Mode: hard"}, 403},
			{"on another host", g.target, []string{"X-Odoo-Purge: a,b", "X-Odoocache-Purge-Mode: hard", "Host: other.example"}, 403},
			{"on another host, as a proxy says", g.target, []string{"X-Odoo-Purge: a,b", "X-Odoocache-Purge-Mode: hard", "X-Forwarded-Host: other.example"}, 403},
			{"of another path", "/shop", []string{"X-Odoo-Purge: a,b", "X-Odoocache-Purge-Mode: hard"}, 403},
			{"as it was signed", g.target, []string{"X-Odoo-Purge: a,b", "X-Odoocache-Purge-Mode: hard"}, 200},
			{"again", g.target, []string{"X-Odoo-Purge: a,b", "X-Odoocache-Purge-Mode: hard"}, 403},
		} {
			assert.Equal(t, c.want, s.Do("PURGE", c.path, "", append(c.lines, g.line())...).Status, c.name)
		}
		g = purgeSignature(s)
		g.host = "front.example"
		assert.Equal(t, 200, s.Do("POST", "/.odoocache/purge", g.body, g.line(), "X-Forwarded-Host: Front.example").Status, "through a proxy that changes Host")

		other := site.New(t, load, site.Options{"purge": purge}, site.Page("x"))
		g = purgeSignature(s)
		require.Equal(t, 200, s.Do("POST", "/.odoocache/purge", g.body, g.line()).Status)
		assert.Equal(t, 403, other.Do("POST", "/.odoocache/purge", g.body, g.line(), "Host: "+g.host).Status, "at another tenant of the same secret")

		g = purgeSignature(s)
		g.method, g.target, g.body = "GET", "/.odoocache/status", ""
		assert.Equal(t, 200, s.Get("/.odoocache/status", g.line()).Status)
		assert.Equal(t, 403, s.Get("/.odoocache/status", g.line()).Status)
	})
}

// TestSignaturesInMind: what cannot be remembered is refused, and nothing is forgotten for it.
func TestSignaturesInMind(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"purge": site.Options{"secret": signingSecret}, "limits": site.Options{"signatures": "100"}}, site.Page("x"))
		first := purgeSignature(s)
		require.Equal(t, 200, s.Do("POST", "/.odoocache/purge", first.body, first.line()).Status)
		for i := 0; i < 99; i++ {
			g := purgeSignature(s)
			require.Equal(t, 200, s.Do("POST", "/.odoocache/purge", g.body, g.line()).Status)
		}
		g := purgeSignature(s)
		got := s.Do("POST", "/.odoocache/purge", g.body, g.line())
		assert.Equal(t, 503, got.Status)
		assert.Contains(t, got.Body, "limits.signatures")
		assert.NotEmpty(t, got.Header.Get("Retry-After"))
		assert.Equal(t, 403, s.Do("POST", "/.odoocache/purge", first.body, first.line()).Status)
		assert.Equal(t, 200, s.Do("POST", "/.odoocache/purge", g.body, "X-Odoocache-Secret: "+signingSecret).Status)
	})
}

// TestSignedBodyTooLarge says so, rather than that the signature is wrong.
func TestSignedBodyTooLarge(t *testing.T) {
	s := site.New(t, site.Compiled, site.Options{"purge": site.Options{"secret": signingSecret}, "limits": site.Options{"purgeBody": "256"}}, site.Page("x"))
	g := purgeSignature(s)
	g.body = strings.Repeat("x", 257)
	assert.Equal(t, http.StatusRequestEntityTooLarge, s.Do("POST", "/.odoocache/purge", g.body, g.line()).Status)
}

// TestPurgeMode: a purge that asks for what there is not is not carried out in another way.
func TestPurgeMode(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"purge": site.Options{"secret": signingSecret}}, site.Page("x"))
		for _, c := range []struct {
			lines []string
			want  int
			kind  string
		}{
			{nil, 200, "hard"}, {[]string{"hard"}, 200, "hard"}, {[]string{"soft"}, 200, "soft"}, {[]string{"stale"}, 200, "soft"}, {[]string{""}, 200, "hard"},
			{[]string{"sofd"}, 400, ""}, {[]string{"soft, hard"}, 400, ""}, {[]string{"hard", "soft"}, 400, ""}, {[]string{"Soft"}, 400, ""},
		} {
			for _, at := range []string{"PURGE /shop", "POST /.odoocache/purge"} {
				method, path, _ := strings.Cut(at, " ")
				lines := []string{"X-Odoocache-Secret: " + signingSecret, "X-Odoo-Purge: a"}
				for _, l := range c.lines {
					lines = append(lines, "X-Odoocache-Purge-Mode: "+l)
				}
				got := s.Do(method, path, "", lines...)
				assert.Equal(t, c.want, got.Status, "%s %v", at, c.lines)
				if c.want == 200 {
					assert.Contains(t, got.Body, `"kind":"`+c.kind+`"`, "%s %v", at, c.lines)
				} else {
					assert.Contains(t, got.Body, `"field":"X-Odoocache-Purge-Mode"`)
				}
			}
		}
	})
}

// TestPurgeItemsAreOneLine: what has a line break is refused by name, not split or trimmed.
func TestPurgeItemsAreOneLine(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"purge": site.Options{"secret": signingSecret}}, site.Page("x"))
		for _, part := range []string{"tags", "paths", "prefixes"} {
			for _, item := range []string{`/a\n/b`, `/a\n`, `\n/a`, `/a\u0000`, `/a\tb`, `/a\u2028b`, `/a\u0085`, `/a\r`} {
				got := s.Do("POST", "/.odoocache/purge", `{"`+part+`":["/ok","`+item+`"]}`, "X-Odoocache-Secret: "+signingSecret)
				assert.Equal(t, 400, got.Status, "%s %s", part, item)
				assert.Contains(t, got.Body, `"field":"`+part+`"`)
			}
			assert.Equal(t, 200, s.Do("POST", "/.odoocache/purge", `{"`+part+`":["/li%0afine"]}`, "X-Odoocache-Secret: "+signingSecret).Status, part)
		}
	})
}

// TestSignaturesAcrossReplicas: one Redis knows what any replica has taken, and without it
// a replica knows what it has taken itself.
func TestSignaturesAcrossReplicas(t *testing.T) {
	if site.RaceEnabled {
		t.Skip("the race detector sees the interpreter, not what it interprets")
	}
	server := stack.StartServer(t)
	o := site.Options{"tenant": "signed", "purge": site.Options{"secret": signingSecret}, "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}}
	here := site.New(t, site.Compiled, o, site.Page("x"))
	there := site.New(t, site.Interpreted, o, site.Page("x"))
	g := purgeSignature(here)
	g.host = "shop.example"
	send := func(s *site.Site, g signature) site.Reply {
		return s.Do("POST", "/.odoocache/purge", g.body, g.line(), "Host: shop.example")
	}
	require.Equal(t, 200, send(here, g).Status)
	got := send(there, g)
	assert.Equal(t, 403, got.Status)
	assert.Contains(t, got.Body, "used before")
	keys := strings.Fields(server.Must("KEYS oc:{signed}:n:*"))
	require.Len(t, keys, 1)
	ttl, err := strconv.Atoi(server.Must("PTTL " + keys[0]))
	require.NoError(t, err)
	assert.Greater(t, ttl, 300000, "it is kept for as long as the signature holds, and a while")
	assert.LessOrEqual(t, ttl, 360000)

	server.Stop()
	g.nonce = newNonce()
	assert.Equal(t, 503, send(here, g).Status, "Redis does not answer, so the purge is kept")
	assert.Equal(t, 403, send(here, g).Status, "and not taken again")
}

// TestReadmeSignature runs docs/purging.md's example of a signed request.
func TestReadmeSignature(t *testing.T) {
	for _, tool := range []string{"sh", "openssl", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no " + tool)
		}
	}
	m := regexp.MustCompile("(?ms)^```sh\n(body=.*?)^```$").FindStringSubmatch(site.Readme(t))
	require.NotNil(t, m)
	s := site.New(t, site.Compiled, site.Options{"tenant": "shop", "purge": site.Options{"secret": signingSecret}}, site.Page("x"))
	host := strings.TrimPrefix(s.URL, "http://")
	script := strings.ReplaceAll(strings.ReplaceAll(m[1], "https://shop.example", s.URL), "shop.example", host)
	cmd := exec.Command("sh", "-euc", script)
	cmd.Env = append(os.Environ(), "PURGE_SECRET="+signingSecret)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), `"tenant":"shop"`)
}
