package behaviour_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// tokenOf is the token of a session, as this origin makes it.
func tokenOf(session string) string {
	sum := sha256.Sum256([]byte(session))
	return hex.EncodeToString(sum[:])[:40] + "o1826955887"
}

// forms is an origin with forms: pages hold the token of their visitor's
// session, and /send takes a form only with that.
type forms struct {
	next   int
	asked  int // for the page that tokens come from
	broken bool
	bodies []string
}

func (f *forms) serve(rw http.ResponseWriter, r *http.Request) {
	id := ""
	if c, err := r.Cookie("session_id"); err == nil {
		id = c.Value
	}
	if id == "" {
		f.next++
		id = site.SessionID(f.next)
		rw.Header().Add("Set-Cookie", "session_id="+id+"; HttpOnly; Path=/")
	}
	switch r.URL.Path {
	case "/web/login":
		if r.Header.Get("Accept-Language") == "fr" {
			rw.Header().Set("Location", "/fr/web/login")
			rw.WriteHeader(http.StatusSeeOther)
			return
		}
		fallthrough
	case "/fr/web/login":
		f.asked++
		if f.broken {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		site.Page(`<input type="hidden" name="csrf_token" value="`+tokenOf(id)+`"/>`, "Content-Type: text/html; charset=utf-8")(rw, r)
	case "/send":
		body, _ := io.ReadAll(r.Body)
		f.bodies = append(f.bodies, string(body))
		if !strings.Contains(string(body), tokenOf(id)) {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		site.Page("sent by "+id)(rw, r)
	default:
		site.Page(`var odoo = {csrf_token: "`+tokenOf(id)+`"}; csrf_token: '`+tokenOf(id)+`' <input name="csrf_token" value="`+tokenOf(id)+`"/>`+tokenOf(id+"later"),
			"Content-Type: text/html; charset=utf-8")(rw, r)
	}
}

// formRules are rules for pages with forms.
var formRules = site.Options{"rules": []site.Options{{"match": site.Options{"methods": []string{"GET"}}, "ttl": "60", "fill": "nobody", "cookies": site.Options{"drop": []string{"session_id"}}}}}

// TestPagesWithoutTokens: what is stored, and what visitors without a session get.
func TestPagesWithoutTokens(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		f := &forms{}
		s := site.New(t, load, formRules, f.serve)
		want := `var odoo = {csrf_token: "` + site.TokenPlaceholder + `"}; csrf_token: '` + site.TokenPlaceholder + `' <input name="csrf_token" value="` + site.TokenPlaceholder + `"/>` + site.TokenPlaceholder
		for i := 0; i < 3; i++ {
			got := s.Get("/page")
			assert.Equal(t, want, got.Body)
			assert.Empty(t, got.Header["Set-Cookie"])
		}
		assert.Equal(t, 1, s.Renders())

		id := s.Do(http.MethodPost, "/send", "x").Session()
		got := s.Get("/mine", "Cookie: session_id="+id)
		assert.Contains(t, got.Body, tokenOf(id), "a visitor whose session may be special gets their own page")
		assert.NotContains(t, s.Get("/mine").Body, tokenOf(id))
	})
}

// TestFormsAreCompleted sends forms from stored pages, and attacks with them.
func TestFormsAreCompleted(t *testing.T) {
	const (
		urlencoded = "Content-Type: application/x-www-form-urlencoded"
		multipart  = "Content-Type: multipart/form-data; boundary=b0undary"
		same       = "Sec-Fetch-Site: same-origin"
	)
	simple := "name=Joe&csrf_token=" + site.TokenPlaceholder + "&text=x"
	own := "Cookie: session_id=" + site.SessionID(500)
	long := strings.Repeat("x", 70000)
	megabyte := strings.Repeat("0123456789abcdef", 1<<16)
	for _, c := range []struct {
		name string
		body string
		in   []string
		want string // detail of Cache-Status
		sent bool
	}{
		{"a new visitor", simple, []string{urlencoded, same}, "csrf-completed", true},
		{"a visitor with a session", simple, []string{urlencoded, same, own}, "csrf-completed", true},
		{"the token alone", "csrf_token=" + site.TokenPlaceholder, []string{urlencoded, same}, "csrf-completed", true},
		{"the token last", "a=b&csrf_token=" + site.TokenPlaceholder, []string{urlencoded + "; charset=UTF-8", same}, "csrf-completed", true},
		{"the token twice", simple + "&" + simple, []string{urlencoded, same}, "csrf-completed", true},
		{"multipart", site.MultipartForm("Content-Disposition: form-data; name=\"a\"\r\n\r\nb", site.TokenPart), []string{multipart, same}, "csrf-completed", true},
		{"multipart, the token first", site.MultipartForm(site.TokenPart, "Content-Disposition: form-data; name=\"a\"\r\n\r\nb"), []string{multipart, same}, "csrf-completed", true},
		{"multipart before a large file", site.MultipartForm(site.TokenPart, "Content-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"+long), []string{multipart, same}, "csrf-completed", true},
		{"multipart behind a large file", site.MultipartForm("Content-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"+megabyte, site.TokenPart), []string{multipart, same}, "csrf-late", true},
		{"multipart behind a large file, with a session", site.MultipartForm("Content-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"+megabyte, site.TokenPart, "Content-Disposition: form-data; name=\"a\"\r\n\r\n"+long), []string{multipart, same, own}, "csrf-late", true},
		{"in French", simple, []string{urlencoded, same, "Accept-Language: fr"}, "csrf-completed", true},
		{"in French, with a session", simple, []string{urlencoded, same, own, "Accept-Language: fr"}, "csrf-completed", true},
		{"by Origin", simple, []string{urlencoded, "Origin: http://shop.example"}, "csrf-completed", true},
		{"by Origin with its port", simple, []string{urlencoded, "Origin: http://shop.example:80"}, "csrf-completed", true},
		{"by Referer", simple, []string{urlencoded, "Referer: http://shop.example/page?a=b"}, "csrf-completed", true},
		{"behind another proxy", simple, []string{urlencoded, "X-Forwarded-Proto: https", "Origin: https://shop.example"}, "csrf-completed", true},

		{"from another site", simple, []string{urlencoded, "Sec-Fetch-Site: cross-site"}, "csrf-origin", false},
		{"from another site, with the victim's cookie", simple, []string{urlencoded, "Sec-Fetch-Site: cross-site", own}, "csrf-origin", false},
		{"from another subdomain", simple, []string{urlencoded, "Sec-Fetch-Site: same-site", "Origin: http://blog.shop.example", own}, "csrf-origin", false},
		{"cross-site with a good Origin", simple, []string{urlencoded, "Sec-Fetch-Site: cross-site", "Origin: http://shop.example"}, "csrf-origin", false},
		{"two words", simple, []string{urlencoded, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, "csrf-origin", false},
		{"from no page", simple, []string{urlencoded, "Sec-Fetch-Site: none"}, "csrf-origin", false},
		{"another Origin", simple, []string{urlencoded, "Origin: http://evil.example"}, "csrf-origin", false},
		{"another Origin, a good Referer", simple, []string{urlencoded, "Origin: http://evil.example", "Referer: http://shop.example/"}, "csrf-origin", false},
		{"the Origin's scheme", simple, []string{urlencoded, "Origin: https://shop.example"}, "csrf-origin", false},
		{"the Origin's port", simple, []string{urlencoded, "Origin: http://shop.example:8080"}, "csrf-origin", false},
		{"a null Origin", simple, []string{urlencoded, "Origin: null", own}, "csrf-origin", false},
		{"an empty Origin", simple, []string{urlencoded, "Origin: ", own}, "csrf-origin", false},
		{"a forged Referer", simple, []string{urlencoded, "Referer: http://evil.example/http://shop.example/"}, "csrf-origin", false},
		{"a Referer with the host as user", simple, []string{urlencoded, "Referer: http://shop.example@evil.example/"}, "csrf-origin", false},
		{"a Referer that begins alike", simple, []string{urlencoded, "Referer: http://shop.example.evil.example/"}, "csrf-origin", false},
		{"from nowhere", simple, []string{urlencoded, own}, "csrf-origin", false},

		{"another field", "text=" + site.TokenPlaceholder + "&csrf_token=x", []string{urlencoded, same}, "method", false},
		{"a field with a like name", "my_csrf_token=" + site.TokenPlaceholder, []string{urlencoded, same}, "method", false},
		{"more in the field", "csrf_token=" + site.TokenPlaceholder + "x", []string{urlencoded, same}, "method", false},
		{"a quotation", "text=look:&amp;csrf_token=" + site.TokenPlaceholder + "+x", []string{urlencoded, same}, "method", false},
		{"another type", simple, []string{"Content-Type: text/plain", same}, "method", false},
		{"no type", simple, []string{same}, "method", false},
		{"JSON", `{"csrf_token": "` + site.TokenPlaceholder + `"}`, []string{"Content-Type: application/json", same}, "method", false},
		{"a file", site.MultipartForm("Content-Disposition: form-data; name=\"csrf_token\"; filename=\"x\"\r\n\r\n" + site.TokenPlaceholder), []string{multipart, same}, "method", false},
		{"a file with a form in it", site.MultipartForm("Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n--other\r\n" + site.TokenPart), []string{multipart, same}, "method", false},
		{"a file with a part in it", site.MultipartForm("Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n--b0undaryx\r\n" + site.TokenPart), []string{multipart, same}, "method", false},
		{"another part", site.MultipartForm("Content-Disposition: form-data; name=\"text\"\r\n\r\n" + site.TokenPlaceholder), []string{multipart, same}, "method", false},
		{"a coded part", site.MultipartForm("Content-Transfer-Encoding: base64\r\n" + site.TokenPart), []string{multipart, same}, "method", false},
		{"no boundary", site.MultipartForm(site.TokenPart), []string{"Content-Type: multipart/form-data", same}, "method", false},
		{"too late in the form", "text=" + long + "&csrf_token=" + site.TokenPlaceholder, []string{urlencoded, same}, "csrf-late", false},
		{"too late in the form, from another site", site.MultipartForm("Content-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"+long, site.TokenPart), []string{multipart, "Sec-Fetch-Site: cross-site", own}, "csrf-late", false},
		{"cut off where the search ends", "t=" + strings.Repeat("x", 65536-2-12-51) + "&csrf_token=" + site.TokenPlaceholder + "&a=b", []string{urlencoded, same}, "method", false},
		{"nothing", "", []string{urlencoded, same}, "method", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				f := &forms{}
				s := site.New(t, load, formRules, f.serve)
				got := s.Do(http.MethodPost, "/send", c.body, append(c.in, "Host: shop.example")...)
				assert.Equal(t, "odoocache; fwd=method; detail="+c.want, got.CacheStatus())
				require.Len(t, f.bodies, 1)
				assert.Len(t, f.bodies[0], len(c.body))
				if !c.sent {
					assert.Equal(t, http.StatusBadRequest, got.Status)
					assert.Equal(t, c.body, f.bodies[0], "left as it was")
					assert.Zero(t, f.asked)
					return
				}
				require.Equal(t, http.StatusOK, got.Status)
				assert.Equal(t, 1, f.asked)
				id := strings.TrimPrefix(got.Body, "sent by ")
				assert.Equal(t, strings.ReplaceAll(c.body, site.TokenPlaceholder, tokenOf(id)), f.bodies[0])
				if strings.Contains(strings.Join(c.in, ""), own) {
					assert.Equal(t, site.SessionID(500), id)
					assert.Empty(t, got.Session())
				} else {
					assert.Equal(t, id, got.Session(), "the session that the form was sent in")
				}
			})
		})
	}
}

// TestFormsThatCannotBeCompleted: Odoo gets them as they are.
func TestFormsThatCannotBeCompleted(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		f := &forms{broken: true}
		s := site.New(t, load, formRules, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			f.serve(rw, r)
		})
		form := []string{"Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin"}
		got := s.Do(http.MethodPost, "/send", "csrf_token="+site.TokenPlaceholder, form...)
		assert.Equal(t, http.StatusBadRequest, got.Status)
		assert.Contains(t, got.CacheStatus(), "detail=csrf-no-token")
		assert.Equal(t, []string{"csrf_token=" + site.TokenPlaceholder}, f.bodies)

		assert.NotContains(t, s.Get("/page?csrf_token="+site.TokenPlaceholder, form...).CacheStatus(), "csrf-")
		got = s.Do(http.MethodPost, "/send?csrf_token="+site.TokenPlaceholder, "a=b", form...)
		assert.NotContains(t, got.CacheStatus(), "csrf-", "a token in an address is seen by many")
	})
}

// TestFormsWithFiles: wherever in a form that passes the token comes, that one field is
// completed, and nothing else: not what a file holds.
func TestFormsWithFiles(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		f := &forms{}
		s := site.New(t, load, formRules, f.serve)
		file := "Content-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"
		decoy := site.TokenPlaceholder + "\r\n--other\r\n" + site.TokenPart + "\r\n--b0undaryx\r\n" + site.TokenPart
		for i := 0; i < 40; i++ { // each place of the token in what is looked at at a time
			before := file + strings.Repeat("y", 70000+i*977) + decoy
			body := site.MultipartForm(before, site.TokenPart, "Content-Disposition: form-data; name=\"z\"\r\n\r\n"+strings.Repeat("z", i*331))
			got := s.Do(http.MethodPost, "/send", body, "Content-Type: multipart/form-data; boundary=b0undary", "Sec-Fetch-Site: same-origin", "Host: shop.example")
			require.Equal(t, http.StatusOK, got.Status, "%d", i)
			token := tokenOf(strings.TrimPrefix(got.Body, "sent by "))
			want := site.MultipartForm(before, strings.ReplaceAll(site.TokenPart, site.TokenPlaceholder, token), "Content-Disposition: form-data; name=\"z\"\r\n\r\n"+strings.Repeat("z", i*331))
			require.True(t, want == f.bodies[i], "%d", i)
		}
		// One that has its token in its beginning, or none of ours, costs no page of Odoo.
		asked := f.asked
		s.Do(http.MethodPost, "/send", site.MultipartForm(strings.ReplaceAll(site.TokenPart, site.TokenPlaceholder, tokenOf("x")), file+strings.Repeat("y", 70000)),
			"Content-Type: multipart/form-data; boundary=b0undary", "Sec-Fetch-Site: same-origin", "Host: shop.example")
		assert.Equal(t, asked, f.asked)
	})
}

// TestFormsWhereSigningInIsElsewhere: csrf.path leads to another host, as with SAML. The token
// is of another page.
func TestFormsWhereSigningInIsElsewhere(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		f := &forms{}
		s := site.New(t, load, formRules, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/web/login" {
				http.Redirect(rw, r, "https://idp.example/sso", http.StatusFound)
				return
			}
			f.serve(rw, r)
		})
		got := s.Do(http.MethodPost, "/send", "csrf_token="+site.TokenPlaceholder, "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
		assert.Equal(t, http.StatusOK, got.Status)
		assert.Contains(t, got.CacheStatus(), "csrf-completed")
		assert.NotEmpty(t, got.Session())
	})
}

// TestFormsInPieces: a form may come slowly, and may break off.
func TestFormsInPieces(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		f := &forms{}
		s := site.New(t, load, formRules, f.serve)
		out, in := io.Pipe()
		r, err := http.NewRequest(http.MethodPost, s.URL+"/send", out)
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		go func() {
			for _, c := range "a=b&csrf_token=" + site.TokenPlaceholder + "&c=d" {
				_, _ = in.Write([]byte(string(c)))
			}
			_ = in.Close()
		}()
		resp, err := site.PlainClient.Do(r)
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Regexp(t, regexp.MustCompile(`^a=b&csrf_token=[0-9a-f]{40}o[0-9]{10}&c=d$`), f.bodies[0])
	})
}
