package behaviour_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

var storageNumber atomic.Int64

// audited is a site with a storage of its own, whose log nobody else fills, and two secrets.
func audited(t *testing.T, load site.Loader, o site.Options) *site.Site {
	t.Helper()
	memory := site.Options{"bytes": fmt.Sprint(1<<21 + storageNumber.Add(1))}
	return site.New(t, load, site.Merge(site.Options{"memory": memory, "purge": site.Options{"secret": currentSecret, "previousSecret": formerSecret}}, o), site.Page("x"))
}

// auditOf returns the lines on purges of a site since a mark, without what comes before its tenant.
func auditOf(s *site.Site, mark int) (lines []string) {
	const before = "odoocache: tenant "
	for _, line := range site.Log.With(before+s.Options["tenant"].(string)+": purge ", mark) {
		_, line, _ = strings.Cut(line, ": purge ")
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

// TestPurgesAreInTheLog: each purge by request has a line, which says who has asked, from where,
// how, for what, and what has become of it.
func TestPurgesAreInTheLog(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := audited(t, load, site.Options{})
		network := audited(t, load, site.Options{"purge": site.Options{"networks": []string{"127.0.0.0/8"}}})
		nobody := audited(t, load, site.Options{"purge": site.Options{}})
		current, former := "X-Odoocache-Secret: "+currentSecret, "Authorization: Bearer "+formerSecret
		signed := func(secret string) string {
			g := purgeSignature(s)
			g.secret, g.host = secret, "shop.example"
			return g.line()
		}
		old := purgeSignature(s)
		old.at, old.secret, old.host = "1000000", currentSecret, "shop.example"
		twice := signed(formerSecret)
		const here, body = " from=127.0.0.1", `{"tags":["a"]}`
		const one = " mode=hard all=false tags=1:a paths=0 prefixes=0"
		const done, refused = "done sequence=%d", "refused reason="
		for i, c := range []struct {
			s                  *site.Site
			method, path, body string
			lines              []string
			want               string
		}{
			{s, "POST", "/.odoocache/purge", body, []string{current}, done + " key=current by=secret method=POST" + here + one},
			{s, "POST", "/.odoocache/purge", body, []string{former}, done + " key=previous by=secret method=POST" + here + one},
			{s, "POST", "/.odoocache/purge", body, []string{signed(currentSecret)}, done + " key=current by=signature method=POST" + here + one},
			{s, "POST", "/.odoocache/purge", body, []string{twice}, done + " key=previous by=signature method=POST" + here + one},
			{s, "POST", "/.odoocache/purge", body, []string{twice}, refused + "signature-used status=403 at=purge key=previous by=signature method=POST" + here},
			{s, "POST", "/.odoocache/purge", body, []string{old.line()}, refused + "signature-time status=403 at=purge key=none by=signature method=POST" + here},
			{s, "POST", "/.odoocache/purge", body, []string{signed("another secret")}, refused + "signature-wrong status=403 at=purge key=none by=signature method=POST" + here},
			{s, "POST", "/.odoocache/purge", body, []string{"X-Odoocache-Signature: x"}, refused + "signature-format status=403 at=purge key=none by=signature method=POST" + here},
			{s, "PURGE", "/shop?page=2", "", []string{current}, done + " key=current by=secret method=PURGE" + here + " mode=hard all=false tags=0 paths=1://shop.example/shop… prefixes=0"},
			{s, "PURGE", "/shop", "", []string{current, "X-Odoocache-Purge-Mode: soft"}, done + " key=current by=secret method=PURGE" + here + " mode=soft all=false tags=0 paths=1://shop.example/shop prefixes=0"},
			{
				s, "POST", "/.odoocache/purge", `{"tags":["b","c","d"],"prefixes":["/blog/","/jobs/"],"all":true,"soft":true}`, []string{current, "X-Odoo-Purge: a, /shop, /x*"},
				done + " key=current by=secret method=POST" + here + " mode=soft all=true tags=4:a,b,c,… paths=1:/shop prefixes=3:/x,/blog/,/jobs/",
			},
			{s, "POST", "/.odoocache/purge", body, []string{current, "X-Forwarded-For: 1.1.1.1, 2.2.2.2 ,x y=z,3.3.3.3, 2001:db8::1"}, done + " key=current by=secret method=POST" + here + " forwarded=3.3.3.3,2001:db8::1" + one},
			{network, "POST", "/.odoocache/purge", body, nil, done + " key=network by=network method=POST" + here + one},
			{network, "POST", "/.odoocache/purge", body, []string{"Origin: http://x"}, refused + "browser status=403 at=purge key=none by=none method=POST" + here},
			{nobody, "PURGE", "/shop", "", []string{current}, refused + "not-enabled status=403 at=address key=none by=secret method=PURGE" + here},
			{s, "PURGE", "/shop", "", nil, refused + "secret status=403 at=address key=none by=none method=PURGE" + here},
			{s, "GET", "/.odoocache/status", "", []string{"X-Odoocache-Secret: guessed"}, refused + "secret status=403 at=status key=none by=secret method=GET" + here},
			{s, "BREW", "/.odoocache/x", "", []string{"X-Odoocache-Secret: guessed"}, refused + "secret status=403 at=nothing key=none by=secret method=other" + here},
			{s, "POST", "/.odoocache/purge", `{"tags":"a"}`, []string{current}, refused + "items status=400 at=purge key=current by=secret method=POST" + here + " mode=hard all=false tags=0 paths=0 prefixes=0"},
			{s, "POST", "/.odoocache/purge", ``, []string{former}, refused + "nothing status=400 at=purge key=previous by=secret method=POST" + here + " mode=hard all=false tags=0 paths=0 prefixes=0"},
			{s, "PURGE", "/shop", ``, []string{current, "X-Odoocache-Purge-Mode: x"}, refused + "mode status=400 at=address key=current by=secret method=PURGE" + here + " mode=hard all=false tags=0 paths=1://shop.example/shop prefixes=0"},
			{s, "GET", "/.odoocache/purge", "", []string{current}, refused + "method status=405 at=purge key=current by=secret method=GET" + here + " mode=hard all=false tags=0 paths=0 prefixes=0"},
			{s, "POST", "/.odoocache/purge", `{"paths":["shop"]}`, []string{current}, refused + "items status=400 at=purge key=current by=secret method=POST" + here + " mode=hard all=false tags=0 paths=1:shop prefixes=0"},
			{s, "POST", "/.odoocache/purge", `{"tags":["a` + strings.Repeat(`","a`, 1001) + `"]}`, []string{current}, refused + "too-many status=413 at=purge key=current by=secret method=POST" + here + " mode=hard all=false tags=1002:a,a,a,… paths=0 prefixes=0"},
			{s, "GET", "/.odoocache/status", "", []string{current}, ""},
		} {
			mark := site.Log.Mark()
			got := c.s.Do(c.method, c.path, c.body, append(c.lines, "Host: shop.example")...)
			if c.want == "" {
				assert.Empty(t, auditOf(c.s, mark), "%d: it is no purge", i)
				continue
			}
			if strings.HasPrefix(c.want, done) {
				var answer struct{ Sequence int64 }
				require.NoError(t, json.Unmarshal([]byte(got.Body), &answer), "%d: %s", i, got.Body)
				c.want = fmt.Sprintf(done, answer.Sequence) + strings.TrimPrefix(c.want, done)
			}
			assert.Equal(t, []string{c.want}, auditOf(c.s, mark), "%d: %d", i, got.Status)
		}
	})
}

// TestAQueuedPurgeIsInTheLog: it is neither done nor refused.
func TestAQueuedPurgeIsInTheLog(t *testing.T) {
	server := stack.StartServer(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := audited(t, load, site.Options{"redis": site.Options{"address": server.Address}})
		server.Stop()
		defer server.Start()
		mark := site.Log.Mark()
		require.Equal(t, http.StatusServiceUnavailable, s.Do("POST", "/.odoocache/purge", `{"all":true}`, "X-Odoocache-Secret: "+currentSecret).Status)
		assert.Equal(t, []string{"queued reason=storage key=current by=secret method=POST from=127.0.0.1 mode=hard all=true tags=0 paths=0 prefixes=0"}, auditOf(s, mark))
	})
}

// TestRefusalsDoNotFillTheLog: a stranger has few lines, and takes none from who has a key, nor
// from another tenant.
func TestRefusalsDoNotFillTheLog(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := audited(t, load, site.Options{})
		other := audited(t, load, site.Options{"memory": s.Options["memory"]})
		mark := site.Log.Mark()
		for i := 0; i < 300; i++ {
			require.Equal(t, 403, s.Do("PURGE", "/shop", "").Status)
		}
		lines := auditOf(s, mark)
		assert.GreaterOrEqual(t, len(lines), 10, "the first are there")
		assert.LessOrEqual(t, len(lines), 14)
		for _, line := range lines {
			assert.Less(t, len(line), 200)
		}

		key := "X-Odoocache-Secret: " + currentSecret
		mark = site.Log.Mark()
		require.Equal(t, 400, s.Do("POST", "/.odoocache/purge", `{}`, key).Status)
		for i := 0; i < 30; i++ {
			require.Equal(t, 200, s.Do("PURGE", "/shop", "", key).Status)
		}
		assert.Len(t, auditOf(s, mark), 31, "each purge that is carried out has its line")
		require.Equal(t, 403, other.Do("PURGE", "/shop", "").Status)
		assert.Len(t, auditOf(other, mark), 1)
	})
}

// TestTheLogTellsNothingPersonal sends what is nobody's business wherever a purge has room for it,
// carried out and refused, and looks for it in all that was written.
func TestTheLogTellsNothingPersonal(t *testing.T) {
	planted := []string{"jane.doe", "example.org", "hunter2", "guessed-secret", "\x1b", "\r", "\u2028", "\u202e", "FAKE"}
	for _, secret := range []string{currentSecret, formerSecret} {
		planted = append(planted, secret, strings.ReplaceAll(secret, " ", "%20"), strings.ReplaceAll(secret, " ", "_"))
	}
	site.Both(t, func(t *testing.T, load site.Loader) {
		mails := []string{
			"jane.doe@example.org", "mail:jane.doe@example.org", "jane.doe%40example.org", "jane.doe%2540example.org", "jane.doe%zz%40example.org", "jane.doe＠example.org",
			"/my?mail=jane.doe@example.org", "/my?token=hunter2", "/my?hunter2", "/my#hunter2", "/my%3Ftoken=hunter2", "/my%3ftoken%3Dhunter2", "/my%3Fhunter2", "/my%3fhunter2", "/my%23hunter2", "/my%26hunter2", "/my%253Fhunter2", "/my%253Ftoken%3Dhunter2", "/my;token=hunter2", "/my&hunter2",
			"http://jane.doe:hunter2@shop.example/my", "//shop.example/my?x=hunter2", "tag?hunter2", "tag=hunter2",
			currentSecret, "tag-" + formerSecret, "/" + strings.ReplaceAll(currentSecret, " ", "%20"), "/x?" + strings.ReplaceAll(formerSecret, " ", "+"),
			strings.Repeat("x", 70) + "hunter2", "/" + strings.Repeat("y", 70) + "/hunter2",
		}
		mark := site.Log.Mark()
		var sent int
		for _, mail := range mails {
			s := audited(t, load, site.Options{})
			for _, key := range []string{"X-Odoocache-Secret: " + currentSecret, "Authorization: Bearer " + formerSecret, "X-Odoocache-Secret: guessed-secret", "Authorization: Bearer guessed-secret", "X-Odoocache-Signature: guessed-secret", "X-A: none"} {
				for _, part := range []string{"tags", "paths", "prefixes"} {
					body, err := json.Marshal(map[string]interface{}{part: []string{mail}})
					require.NoError(t, err)
					s.Do("POST", "/.odoocache/purge?mail=jane.doe@example.org", string(body), key)
				}
				named, err := json.Marshal(map[string]interface{}{mail: 1})
				require.NoError(t, err)
				s.Do("POST", "/.odoocache/purge", string(named), key)
				s.Do("POST", "/.odoocache/purge", `{"tags":`+string(named)+`}`, key)
				s.Do("POST", "/.odoocache/purge", mail, key)
				s.Do("POST", "/.odoocache/purge", "", key, "X-Odoo-Purge: "+mail, "Referer: http://x/?hunter2", "Cookie: a=hunter2", "User-Agent: hunter2", "X-Forwarded-For: hunter2, jane.doe")
				s.Do("POST", "/.odoocache/purge", `{"tags":["a"]}`, key, "X-Odoocache-Purge-Mode: hunter2")
				s.Do("PURGE", "/my?mail=jane.doe@example.org&token=hunter2", "", key)
				s.Do("PURGE", "/my/jane.doe@example.org", "", key)
				s.Do("PURGE", "/my/jane.doe%40example.org", "", key)
				sent += 11
			}
			s.Do("POST", "/.odoocache/purge", `{"tags":["a\"b","x FAKE=1 key=current"]}`, "X-Odoocache-Secret: "+currentSecret)
			s.Do("POST", "/.odoocache/purge", `{"tags":["odd\u001b[31m","\u202e\n"]}`, "X-Odoocache-Secret: "+currentSecret)
		}
		lines := site.Log.With("", mark)
		assert.Greater(t, len(site.Log.With(": purge done ", mark)), sent/6)
		assert.Greater(t, len(site.Log.With(": purge refused ", mark)), 100)
		for _, line := range lines {
			line = strings.TrimSuffix(line, "\n")
			assert.Less(t, len(line), 800)
			assert.NotContains(t, line, "\n")
			for _, text := range planted {
				if text == "FAKE" {
					assert.NotContains(t, line, " FAKE", "it looks like a part of the line")
					continue
				}
				assert.NotContains(t, line, text)
			}
		}
	})
}
