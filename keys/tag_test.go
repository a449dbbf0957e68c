package keys_test

import (
	"math/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/keys"
)

var roomy = keys.Limits{Tags: 100, Bytes: 100}

func TestParseTags(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		want   []string
	}{
		{"none", header("Content-Type: text/html"), nil},
		{"surrogate key", header("Surrogate-Key: product-1 product-2\tpage"), []string{"product-1", "product-2", "page"}},
		{"surrogate key: commas belong to the tag", header("Surrogate-Key: a,b c"), []string{"a,b", "c"}},
		{"xkey", header("Xkey: a b,c , d"), []string{"a", "b", "c", "d"}},
		{"cache tag", header("Cache-Tag: a b , c,,d"), []string{"a b", "c", "d"}},
		{"cache groups", header(`Cache-Groups: "a b", "c,d";x=1`), []string{"a b", "c,d"}},
		{"lines", header("Surrogate-Key: a", "Surrogate-Key: b", `Cache-Groups: "c"`, `Cache-Groups: "d"`), []string{"a", "b", "c", "d"}},
		{"all headers, no duplicates", header("Surrogate-Key: a b a", "Xkey: b c", "Cache-Tag: c,d", `Cache-Groups: "d","e"`), []string{"a", "b", "c", "d", "e"}},
		{"empty", header("Surrogate-Key: ", "Cache-Tag: ,", "Xkey: ,", "Cache-Groups:"), nil},
		{"utf-8", header("Surrogate-Key: café €"), []string{"café", "€"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := keys.ParseTags(c.header, roomy)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestParseTagsErrors(t *testing.T) {
	small := keys.Limits{Tags: 2, Bytes: 4}
	for _, c := range []struct {
		name   string
		header http.Header
		is     error
		want   string
	}{
		{"too many", header("Surrogate-Key: a b c"), keys.ErrTagLimit, "keys: tag limit: more than 2 tags"},
		{"too many over headers", header("Surrogate-Key: a", "Xkey: b", "Cache-Tag: c"), keys.ErrTagLimit, "keys: tag limit: more than 2 tags"},
		{"too long", header("Surrogate-Key: abcde"), keys.ErrTagLimit, "keys: tag limit: a tag of 5 bytes; at most 4 are allowed"},
		{"control character", header("Cache-Tag: a\x01b"), keys.ErrTag, `keys: tags: "a\x01b" has a control character`},
		{"delete", header("Cache-Tag: a\x7f"), keys.ErrTag, `keys: tags: "a\x7f" has a control character`},
		{"no utf-8", header("Cache-Tag: a\xff"), keys.ErrTag, `keys: tags: "a\xff" has a control character`},
		{"group that is a token", header("Cache-Groups: a"), keys.ErrTag, `Cache-Groups: keys: tags: "a"; expected a list of quoted strings`},
		{"group with a control character", header("Cache-Groups: \"\x02\""), keys.ErrTag, `keys: tags: "\x02" has a control character`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := keys.ParseTags(c.header, small)
			require.ErrorIs(t, err, c.is)
			assert.EqualError(t, err, c.want)
		})
	}
	t.Run("duplicates do not count", func(t *testing.T) {
		got, err := keys.ParseTags(header("Surrogate-Key: a a a b b"), small)
		require.NoError(t, err)
		assert.Equal(t, []string{"a", "b"}, got)
	})
}

func TestParseStrings(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
		err      string
	}{
		{name: "none", in: ""},
		{name: "space", in: " \t "},
		{name: "one", in: `"a"`, want: []string{"a"}},
		{name: "several", in: ` "a" ,"b", "" `, want: []string{"a", "b", ""}},
		{name: "comma inside", in: `"a,b","c"`, want: []string{"a,b", "c"}},
		{name: "escapes", in: `"a\"b", "c\\", "\\\"", "\"\\"`, want: []string{`a"b`, `c\`, `\"`, `"\`}},
		{name: "parameters", in: `"a";x;y=1, "b" ; z="q"`, want: []string{"a", "b"}},
		{name: "comma in a parameter", in: `"a";x="b, \"c", "d"`, want: []string{"a", "d"}},
		{name: "comma at the end", in: `"a",`, err: "keys: tags: a list ends in a comma"},
		{name: "comma at the start", in: `,"a"`, err: `keys: tags: ",\"a\""; expected a list of quoted strings`},
		{name: "two commas", in: `"a",,"b"`, err: `keys: tags: ",\"b\""; expected a list of quoted strings`},
		{name: "no comma", in: `"a" "b"`, err: `keys: tags: "\"b\""; expected a comma`},
		{name: "not closed", in: `"a`, err: `keys: tags: "\"a" has no closing quote`},
		{name: "closed by an escaped quote", in: `"a\"`, err: `keys: tags: "\"a\\\"" has no closing quote`},
		{name: "ends in a backslash", in: `"a\`, err: `keys: tags: "\"a\\" has no closing quote`},
		{name: "another escape", in: `"a\n"`, err: `keys: tags: "a\\n" has an escape that is none`},
		{name: "inner list", in: `("a" "b")`, err: `keys: tags: "(\"a\" \"b\")"; expected a list of quoted strings`},
		{name: "token", in: `"a", b`, err: `keys: tags: "b"; expected a list of quoted strings`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := keys.ParseStrings(c.in)
			if c.err != "" {
				require.ErrorIs(t, err, keys.ErrTag)
				assert.EqualError(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestHashTag(t *testing.T) {
	assert.Len(t, keys.HashTag("t", "x"), keys.TagHashLen)
	seen := map[string]bool{}
	for _, kind := range []string{"t", "p", "u", keys.Tenant} {
		seen[keys.HashTag(kind, "/shop")] = true
	}
	assert.Len(t, seen, 4, "kinds are apart")
}

func TestFoldHost(t *testing.T) {
	for in, want := range map[string]string{
		"shop.example":         "shop.example",
		"Shop.EXAMPLE":         "shop.example",
		"shop.example:8443":    "shop.example",
		"shop.example.":        "shop.example",
		"shop.example.:443":    "shop.example",
		"[2001:DB8::1]":        "[2001:db8::1]",
		"[2001:db8::1]:8069":   "[2001:db8::1]",
		"inner, Shop.example":  "shop.example",
		"inner,shop.example:1": "shop.example",
		"*.Example":            "*.example",
		"":                     "",
	} {
		assert.Equal(t, want, keys.FoldHost(in), in)
	}
}

func TestPathTag(t *testing.T) {
	p := func(where string) string { return keys.HashTag("p", where) }
	u := func(where string) string { return keys.HashTag("u", where) }
	for _, c := range []struct{ name, address, want string }{
		{"path", "/shop", p("/shop")},
		{"root", "/", p("/")},
		{"encoded path", "/caf%C3%A9%20x", p("/café x")},
		{"query", "/shop?page=2", u("/shop?page=2")},
		{"query in another order", "/shop?b=2&a=1", u("/shop?a=1&b=2")},
		{"empty query", "/shop?", p("/shop")},
		{"query of separators", "/shop?&&", p("/shop")},
		{"fragment", "/shop#top", p("/shop")},
		{"host", "//Shop.example:8443/shop", p("shop.example/shop")},
		{"URL", "https://shop.example/shop?a=1", u("shop.example/shop?a=1")},
		{"path that begins with two slashes", "//shop.example//shop", p("shop.example//shop")},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := keys.PathTag(c.address)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	for _, address := range []string{"", "shop", "?a=1", "https://shop.example", "mailto:a@b", "/%zz", "//[::1/x", "/a\x00"} {
		_, err := keys.PathTag(address)
		require.ErrorIs(t, err, keys.ErrTag, address)
		assert.Contains(t, err.Error(), "is no path; expected /path, //host/path or a URL")
	}
	_, err := keys.PathTag("/?" + strings.Repeat("a&", 1000))
	assert.EqualError(t, err, "keys: tags: the query of the path has too many parameters")
}

func TestPrefixOf(t *testing.T) {
	for address, want := range map[string]string{
		"/":                              "/",
		"/shop":                          "/shop",
		"/caf%C3%A9/":                    "/café/",
		"//Shop.example:1/blog":          "shop.example/blog",
		"https://shop.example/shop/cat-": "shop.example/shop/cat-",
	} {
		got, err := keys.PrefixOf(address)
		require.NoError(t, err, address)
		assert.Equal(t, want, got)
	}
	for _, address := range []string{"", "shop", "//shop.example", "/shop?a=1", "/%zz"} {
		_, err := keys.PrefixOf(address)
		require.ErrorIs(t, err, keys.ErrTag, address)
		assert.Contains(t, err.Error(), "is no prefix; expected /path, //host/path or a URL without query")
	}
}

// TestPurgeHitsPage: whatever address a page was asked for by, a purge of that
// address, however it is written, is one of the page's tags.
func TestPurgeHitsPage(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	pick := func(list ...string) string { return list[rng.Intn(len(list))] }
	for i := 0; i < 20000; i++ {
		host := pick("shop.example", "Shop.Example", "a-b.example.", "10.0.0.1", "[2001:db8::1]", "xn--caf-dma.example") + pick("", ":80", ":8443")
		path := ""
		for n := 1 + rng.Intn(4); n > 0; n-- {
			path += "/" + pick("", "shop", "caf%C3%A9", "a%2Fb", "%20", "a+b", "a;b=1", "a:b", "%3Fx", "%23", "x%25", "@", "~", "..", "été")
		}
		var pairs []string
		for n := rng.Intn(5); n > 0; n-- {
			pairs = append(pairs, pick("a", "b", "%61", "utm_source", "", "é", "q[]", "?")+pick("", "=", "=1", "=%20", "=a=b", "=x+y", "=/", "=?", "=#"))
		}
		raw := strings.Join(pairs, pick("&", "&&"))
		address := path
		if raw != "" || pick("", "?") == "?" {
			address += "?" + raw
		}
		page, err := url.ParseRequestURI(address) // what net/http does with a request line
		require.NoError(t, err)
		normal, _, _ := keys.Query(page.RawQuery, page.ForceQuery, keys.Names{}, keys.Names{}, 64)
		tags := keys.URLTags(keys.FoldHost(host), page.Path, normal)

		shuffled := strings.ReplaceAll(shuffle(page.RawQuery, rng.Int63()), "#", "%23")
		spelt := page.EscapedPath()
		if pick("", "re-encoded") != "" {
			spelt = (&url.URL{Path: page.Path}).EscapedPath()
		}
		query := ""
		if shuffled != "" {
			query = "?" + shuffled
		}
		folded := strings.ToUpper(keys.FoldHost(host))
		for _, purge := range []string{
			"//" + host + spelt + query,
			"https://" + folded + ":444" + spelt + query,
			"//" + host + spelt, // without a query every query is meant
		} {
			tag, err := keys.PathTag(purge)
			require.NoError(t, err, purge)
			require.Contains(t, tags, tag, "%q purges %q on %q", purge, address, host)

			prefix, err := keys.PrefixOf(strings.TrimSuffix(purge, query))
			require.NoError(t, err)
			require.Equal(t, keys.FoldHost(host)+page.Path, prefix)
		}
		if !strings.HasPrefix(spelt, "//") { // that would be a host
			tag, err := keys.PathTag(spelt + query)
			require.NoError(t, err)
			require.Contains(t, tags, tag)
		}
	}
}

// A purge of one page leaves others alone.
func TestPurgeMissesOtherPages(t *testing.T) {
	tags := keys.URLTags("shop.example", "/shop", "a=1")
	for _, address := range []string{"/shop/", "/sho", "/shop?a=2", "/shop?a=1&b=2", "//blog.example/shop", "//blog.example/shop?a=1", "/"} {
		tag, err := keys.PathTag(address)
		require.NoError(t, err)
		assert.NotContains(t, tags, tag, address)
	}
}

func FuzzTags(f *testing.F) {
	f.Add("a b", "c,d", "e, f", `"g", "h\"";x="1,2"`, 10, 10)
	f.Add("\x01", "\xff", "", `"`, 0, 0)
	f.Add("/shop", "//host/p?q", "*", `"a\`, 1, 1)
	f.Fuzz(func(t *testing.T, surrogate, xkey, cacheTag, groups string, most, bytes int) {
		h := http.Header{"Surrogate-Key": {surrogate}, "Xkey": {xkey}, "Cache-Tag": {cacheTag}, "Cache-Groups": {groups}}
		tags, err := keys.ParseTags(h, keys.Limits{Tags: most, Bytes: bytes})
		if err == nil {
			seen := map[string]bool{}
			for _, tag := range tags {
				assert.LessOrEqual(t, len(tag), bytes)
				assert.False(t, seen[tag])
				seen[tag] = true
				assert.Equal(t, tag, strings.TrimSpace(tag))
				assert.NotEmpty(t, tag)
			}
			assert.LessOrEqual(t, len(tags), len(seen))
			if most >= 0 {
				assert.LessOrEqual(t, len(tags), most)
			}
		}
		if list, err := keys.ParseStrings(groups); err == nil {
			quoted := make([]string, len(list))
			for i, s := range list {
				quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
			}
			again, err := keys.ParseStrings(strings.Join(quoted, ", "))
			assert.NoError(t, err)
			assert.Equal(t, list, again)
		}
		for _, address := range []string{surrogate, xkey, cacheTag} {
			_, errPath := keys.PathTag(address)
			_, errPrefix := keys.PrefixOf(address)
			if errPath != nil && errPrefix == nil {
				t.Errorf("%q is a prefix, but no path", address)
			}
		}
	})
}
