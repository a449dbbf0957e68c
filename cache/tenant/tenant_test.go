package tenant

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHost(t *testing.T) {
	for spelling, want := range map[string]string{
		"shop.example":          "shop.example",
		"SHOP.Example":          "shop.example",
		"shop.example:8443":     "shop.example",
		"shop.example.":         "shop.example",
		"shop.example.:443":     "shop.example",
		"www.shop.example":      "shop.example",
		"WWW.shop.example.:80":  "shop.example",
		"www.www.shop.example":  "shop.example",
		"www.example":           "www.example", // it would be a top-level domain
		"wwwshop.example":       "wwwshop.example",
		"localhost":             "localhost",
		"a_b.example":           "a_b.example",
		"192.0.2.1:80":          "192.0.2.1",
		"[2001:db8::1]:8443":    "[2001:db8::1]",
		"[2001:DB8::1]":         "[2001:db8::1]",
		"bücher.example":        "xn--bcher-kva.example",
		"BÜCHER.example":        "xn--bcher-kva.example",
		"XN--BCHER-KVA.example": "xn--bcher-kva.example",
		"www.bücher.example":    "xn--bcher-kva.example",
		"例え。テスト":                "xn--r8jz45g.xn--zckzah",
		"пример.испытание":      "xn--e1afmkfd.xn--80akhbyknj4f",
		"faß.example":           "xn--fa-hia.example",
		"first, second.example": "second.example", // the last of a list counts, as for Odoo

		"":                          "",
		".":                         "",
		"shop..example":             "",
		"shop.example..":            "",
		".shop.example":             "",
		"shop.example/path":         "",
		"shop example":              "",
		"shop.example@evil":         "",
		"shop\x00.example":          "",
		"shop\xff.example":          "",
		"shop.example:80:80":        "",
		"[2001:db8::1":              "",
		"2001:db8::1]":              "",
		"[shop.example]":            "",
		"{tenant}.example":          "",
		strings.Repeat("a", 300):    "",
		strings.Repeat("ü.", 200):   "",
		strings.Repeat("ü", 64):     "",
		strings.Repeat("日本語", 5000): "",
	} {
		assert.Equal(t, want, Host(spelling), "%.40q", spelling)
		if want != "" {
			assert.Equal(t, want, Host(Host(spelling)), "%.40q: once more", spelling)
		}
	}
}

// The examples of RFC 3492 §7.1, in lower case.
func TestPunycode(t *testing.T) {
	for text, want := range map[string]string{
		"ليهمابتكلموشعربي؟":      "egbpdaj6bu4bxfgehfvwxn",
		"他们为什么不说中文":              "ihqwcrb4cv8a8dqg056pqjye",
		"他們爲什麽不說中文":              "ihqwctvzc91f659drss3x8bo0yb",
		"pročprostěnemluvíčesky": "proprostnemluvesky-uyb24dma41a",
		"למההםפשוטלאמדבריםעברית": "4dbcagdahymbxekheh6e0a7fei0b",
		"यहलोगहिन्दीक्योंनहींबोलसकतेहैं":           "i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd",
		"なぜみんな日本語を話してくれないのか":                       "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa",
		"почемужеонинеговорятпорусски":             "b1abfaaepdrnnbgefbadotcwatmq2g4l",
		"porquénopuedensimplementehablarenespañol": "porqunopuedensimplementehablarenespaol-fmd56a",
		"tạisaohọkhôngthểchỉnóitiếngviệt":          "tisaohkhngthchnitingvit-kjcr8268qyxafd2f1b9g",
		"3年b組金八先生":                 "3b-ww4c5e180e575a65lsy2b",
		"安室奈美恵-with-super-monkeys": "-with-super-monkeys-pc58ag80a8qai00g7n9n",
		"ひとつ屋根の下2":                 "2-u9tlzr9756bt3uc0v",
		"majiでkoiする5秒前":            "majikoi5-783gue6qz075azm5e",
	} {
		assert.Equal(t, want, punycode([]rune(text)), text)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct{ pattern, host, want string }{
		{"{tenant}.shops.example", "acme.shops.example", "acme"},
		{"{tenant}.shops.example", "Acme.Shops.Example.:443", "acme"},
		{"{tenant}.shops.example", "www.acme.shops.example", "acme"},
		{"{tenant}.Shops.Example", "acme.shops.example", "acme"},
		{"www.{tenant}.shops.example", "acme.shops.example", "acme"},
		{"{tenant}.shops.example:443", "", ""},
		{"{tenant}.shops.example", "shops.example", ""},
		{"{tenant}.shops.example", "www.shops.example", ""},
		{"{tenant}.shops.example", "a.b.shops.example", ""},
		{"{tenant}.shops.example", "acme.shops.example.evil.example", ""},
		{"{tenant}.shops.example", "acme-shops.example", ""},
		{"{tenant}.shops.example", "-acme.shops.example", ""},
		{"{tenant}.shops.example", "_acme.shops.example", ""},
		{"shop-{tenant}.example", "shop-acme.example", "acme"},
		{"shop-{tenant}.example", "shop-.example", ""},
		{"{tenant}-shop.example", "acme-shop.example", "acme"},
		{"{tenant}-shop.example", "shop.example", ""},
		{"{tenant}.example", "acme.example", "acme"},
		{"{tenant}.bücher.example", "acme.xn--bcher-kva.example", "acme"},
		{"{tenant}.shops.example", "bücher.shops.example", "xn--bcher-kva"},
		{"{tenant}.shops.example", "acme" + strings.Repeat("x", 62) + ".shops.example", ""},
	} {
		p, err := NewPattern(c.pattern)
		if c.host == "" {
			assert.Error(t, err, c.pattern)
			continue
		}
		require.NoError(t, err, c.pattern)
		assert.Equal(t, c.want, Match(p, Host(c.host)), "%s: %s", c.pattern, c.host)
	}
	for _, bad := range []string{
		"", "shops.example", "{tenant}", "{tenant}.", ".{tenant}", "x.{tenant}", "{tenant}{tenant}.example", "{tenant}.{tenant}.example", "*.example", "{name}.example",
		"https://{tenant}.example", "{tenant}.shops.example/", "{tenant}.sh ops.example", "{tenant}..example", "bü{tenant}.example", "xn--{tenant}.example", "{Tenant}.example",
	} {
		_, err := NewPattern(bad)
		assert.Error(t, err, bad)
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "0", "Acme", "acme-1", "acme_1", "acme.1", strings.Repeat("a", 64)} {
		assert.True(t, IsName(good), good)
	}
	for _, bad := range []string{"", ".a", "-a", "_a", "a b", "a{b", "a}b", "a:b", "ä", "a\n", "a/b", strings.Repeat("a", 65)} {
		assert.False(t, IsName(bad), "%q", bad)
	}
}

func FuzzHost(f *testing.F) {
	for _, seed := range []string{"www.shop.example.:443", "bücher.example", "[2001:db8::1]", "xn--a.example", "\u3002a"} {
		f.Add(seed)
	}
	p, err := NewPattern("{tenant}.shops.example")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		host := Host(text)
		if host == "" {
			return
		}
		require.LessOrEqual(t, len(host), maxHost)
		require.True(t, isASCII(host) && strings.ToLower(host) == host, "%q", host)
		if name := Match(p, host); name != "" {
			require.True(t, IsName(name))
			require.Equal(t, host, name+".shops.example")
		}
	})
}
