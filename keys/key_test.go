package keys_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/keys"
)

// header makes a header of "Name: value" lines.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

func TestTargetOf(t *testing.T) {
	for _, c := range []struct {
		name   string
		url    string
		header http.Header
		tls    bool
		want   keys.Target
	}{
		{"plain", "http://shop.example/shop?a=1", nil, false, keys.Target{Scheme: "http", Host: "shop.example", Path: "/shop"}},
		{"tls", "http://shop.example/", nil, true, keys.Target{Scheme: "https", Host: "shop.example", Path: "/"}},
		{"proto", "http://shop.example/", header("X-Forwarded-Proto: https"), false, keys.Target{Scheme: "https", Host: "shop.example", Path: "/"}},
		{"proto goes before tls", "http://shop.example/", header("X-Forwarded-Proto: http"), true, keys.Target{Scheme: "http", Host: "shop.example", Path: "/"}},
		{"proto twice", "http://shop.example/", header("X-Forwarded-Proto: http", "X-Forwarded-Proto: https"), false, keys.Target{Scheme: "http,https", Host: "shop.example", Path: "/"}},
		{"forwarded host", "http://odoo:8069/", header("X-Forwarded-Host: shop.example"), false, keys.Target{Scheme: "http", Host: "odoo:8069", Forwarded: "shop.example", Path: "/"}},
		{"forwarded host is the host", "http://shop.example/", header("X-Forwarded-Host: shop.example"), false, keys.Target{Scheme: "http", Host: "shop.example", Path: "/"}},
		{"forwarded host twice", "http://shop.example/", header("X-Forwarded-Host: shop.example", "X-Forwarded-Host: x"), false, keys.Target{Scheme: "http", Host: "shop.example", Forwarded: "shop.example,x", Path: "/"}},
		{"port", "http://shop.example:8443/", nil, false, keys.Target{Scheme: "http", Host: "shop.example:8443", Path: "/"}},
		{"path as sent", "http://shop.example/a%2Fb%20c/%C3%A9", nil, false, keys.Target{Scheme: "http", Host: "shop.example", Path: "/a%2Fb%20c/%C3%A9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, c.url, nil)
			for name, lines := range c.header {
				r.Header[name] = lines
			}
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			assert.Equal(t, c.want, keys.TargetOf(r))
		})
	}
}

func TestPrimary(t *testing.T) {
	target := keys.Target{Scheme: "https", Host: "h", Forwarded: "f", Path: "/p", Query: "q=1"}
	assert.Equal(t, "1:t1:r5:https1:h1:f2:/p3:q=1", keys.Primary("t", "r", target, nil))
	assert.Equal(t, "1:t1:r5:https1:h1:f2:/p3:q=12:d10:", keys.Primary("t", "r", target, []string{"d1", ""}))
	assert.Equal(t, "0:0:0:0:0:0:0:", keys.Primary("", "", keys.Target{}, nil))
}

func TestVariant(t *testing.T) {
	h := header("Accept-Language: fr, en", "X-A: 1")
	assert.Equal(t, "1:av", keys.Variant("1:a", nil, h))
	assert.Equal(t, "1:av15:accept-language6:=fr,en3:x-a2:=13:x-b1:-", keys.Variant("1:a", []string{"accept-language", "x-a", "x-b"}, h))
}

func TestFieldValue(t *testing.T) {
	for _, c := range []struct {
		name   string
		field  string
		header http.Header
		want   string
	}{
		{"absent", "x-a", nil, "-"},
		{"empty", "x-a", header("X-A:"), "="},
		{"a dash", "x-a", header("X-A: -"), "=-"},
		{"plain", "x-a", header("X-A: One"), "=One"},
		{"space within", "x-a", header("X-A: one two"), "=one two"},
		{"space around commas", "x-a", header("X-A: one , two,three"), "=one,two,three"},
		{"tabs around commas", "x-a", header("X-A: one\t,\ttwo"), "=one,two"},
		{"lines combined", "x-a", header("X-A: one", "X-A: two"), "=one,two"},
		{"order counts", "x-a", header("X-A: two", "X-A: one"), "=two,one"},
		{"quoted stays as it is", "x-a", header(`X-A: "one , two", three`), `="one , two", three`},
		{"case of languages", "accept-language", header("Accept-Language: FR-be;q=0.9 , EN"), "=fr-be;q=0.9,en"},
		{"space in languages", "accept-language", header("Accept-Language: fr; q=0.9"), "=fr;q=0.9"},
		{"case of codings", "accept-encoding", header("Accept-Encoding: GZip, br"), "=gzip"},
		{"case of other fields", "x-accept", header("X-Accept: A"), "=A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, keys.FieldValue(c.field, c.header))
		})
	}
}

func TestRedisNames(t *testing.T) {
	id := keys.ID("a key")
	assert.Len(t, id, 43)
	assert.NotContains(t, id, "=")
	assert.Equal(t, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", keys.ID(""), "SHA-256 in URL-safe base64")
	assert.NotEqual(t, id, keys.ID("another key"))
	assert.Equal(t, "oc:{shop}:e:"+id, keys.Entry("shop", id))
	assert.Equal(t, "oc:{shop}:marks", keys.Marks("shop"))
}

func FuzzPrimary(f *testing.F) {
	f.Add("t\x00r\x00https\x00h\x00\x00/p\x00q", "t\x00r\x00https\x00h\x00/p\x00\x00q", "x-a\x001", "")
	f.Add("1:a\x00\x00\x00\x00\x00\x00", "\x001:a\x00\x00\x00\x00\x00", "", "")
	f.Add("\x00\x00\x00\x00\x00\x00\x00v", "\x00\x00\x00\x00\x00\x00", "", "v")
	f.Add("\x00\x00\x00\x00\x00\x00\x00c a=1", "\x00\x00\x00\x00\x00\x00\x00c a", "a\x001", "a\x00=1")
	f.Fuzz(func(t *testing.T, one, two, fieldsOne, fieldsTwo string) {
		a, b := parts(one), parts(two)
		keyA, keyB := primary(a), primary(b)
		assert.Equal(t, equal(a, b), keyA == keyB, "%q and %q", a, b)

		// A variant is never a primary key, nor the variant of another key or fields.
		namesA, headerA := variant(fieldsOne)
		namesB, headerB := variant(fieldsTwo)
		variantA, variantB := keys.Variant(keyA, namesA, headerA), keys.Variant(keyB, namesB, headerB)
		assert.NotEqual(t, keyB, variantA)
		assert.NotEqual(t, keyA, variantB)
		same := equal(a, b) && equal(namesA, namesB)
		for i := 0; same && i < len(namesA); i++ {
			same = keys.FieldValue(namesA[i], headerA) == keys.FieldValue(namesB[i], headerB)
		}
		assert.Equal(t, same, variantA == variantB)
	})
}

// parts makes a list of at least seven parts.
func parts(s string) []string {
	list := strings.Split(s, "\x00")
	for len(list) < 7 {
		list = append(list, "")
	}
	return list
}

func primary(p []string) string {
	return keys.Primary(p[0], p[1], keys.Target{Scheme: p[2], Host: p[3], Forwarded: p[4], Path: p[5], Query: p[6]}, p[7:])
}

// variant makes names and a header of "name NUL value NUL name …".
func variant(s string) ([]string, http.Header) {
	list := strings.Split(s, "\x00")
	h := http.Header{}
	var names []string
	for i := 0; i+1 < len(list); i += 2 {
		names = append(names, list[i])
		h[http.CanonicalHeaderKey(list[i])] = []string{list[i+1]}
	}
	return names, h
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
