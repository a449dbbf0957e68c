package keys_test

import (
	"math/rand"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/keys"
)

func TestQuery(t *testing.T) {
	for _, c := range []struct {
		name            string
		raw             string
		forced          bool
		keep, ignore    []string
		normal, forward string
	}{
		{name: "none"},
		{name: "empty", forced: true, normal: keys.EmptyQuery},
		{name: "one", raw: "page=2", normal: "page=2", forward: "page=2"},
		{name: "sorted by name", raw: "b=2&a=1", normal: "a=1&b=2", forward: "b=2&a=1"},
		{name: "stable within a name", raw: "b=2&a=9&b=1&a=8", normal: "a=9&a=8&b=2&b=1", forward: "b=2&a=9&b=1&a=8"},
		{name: "names in bytes", raw: "a=1&B=2&_=3", normal: "B=2&_=3&a=1", forward: "a=1&B=2&_=3"},
		{name: "sorted by decoded name", raw: "%62=2&a=1", normal: "a=1&%62=2", forward: "%62=2&a=1"},
		{name: "stable over spellings of a name", raw: "%61=2&a=1", normal: "%61=2&a=1", forward: "%61=2&a=1"},
		{name: "spellings of a value differ", raw: "a=%31", normal: "a=%31", forward: "a=%31"},
		{name: "no value is not an empty value", raw: "a&b=", normal: "a&b=", forward: "a&b="},
		{name: "value with an equals sign", raw: "a=b=c", normal: "a=b=c", forward: "a=b=c"},
		{name: "empty name", raw: "b=1&=2", normal: "=2&b=1", forward: "b=1&=2"},
		{name: "empty pairs go", raw: "&a=1&&b=2&", normal: "a=1&b=2", forward: "a=1&b=2"},
		{name: "only separators", raw: "&&"},
		{name: "a question mark is no empty query", raw: "?", normal: "?", forward: "?"},
		{name: "semicolons separate nothing", raw: "b=1;a=2", normal: "b=1;a=2", forward: "b=1;a=2"},

		{name: "ignored", raw: "gclid=x&page=2", ignore: []string{"gclid"}, normal: "page=2", forward: "page=2"},
		{name: "all ignored", raw: "gclid=x", ignore: []string{"gclid"}},
		{name: "all ignored, with a question mark", raw: "gclid=x", forced: true, ignore: []string{"gclid"}},
		{name: "ignored by prefix", raw: "utm_source=x&utm=1&utm_=2", ignore: []string{"utm_*"}, normal: "utm=1", forward: "utm=1"},
		{name: "ignored percent-encoded", raw: "%67clid=x&utm%5Fid=y&a=1", ignore: []string{"gclid", "utm_*"}, normal: "a=1", forward: "a=1"},
		{name: "ignored with a plus", raw: "a+b=1&c=2", ignore: []string{"a b"}, normal: "c=2", forward: "c=2"},
		{name: "case counts", raw: "GCLID=x", ignore: []string{"gclid"}, normal: "GCLID=x", forward: "GCLID=x"},
		{name: "malformed escapes are no reason to ignore", raw: "gclid%zz=x", ignore: []string{"gclid"}, normal: "gclid%zz=x", forward: "gclid%zz=x"},
		{name: "everything ignored", raw: "a=1&b=2", ignore: []string{"*"}},
		{name: "forward keeps the order", raw: "c=3&gclid=x&a=1", ignore: []string{"gclid"}, normal: "a=1&c=3", forward: "c=3&a=1"},

		{name: "kept", raw: "page=2&foo=1", keep: []string{"page"}, normal: "page=2", forward: "page=2"},
		{name: "kept by prefix", raw: "attr_1=2&foo=1", keep: []string{"attr_*"}, normal: "attr_1=2", forward: "attr_1=2"},
		{name: "ignore goes before keep", raw: "page=2&q=1", keep: []string{"page", "q"}, ignore: []string{"q"}, normal: "page=2", forward: "page=2"},
		{name: "nothing kept", raw: "foo=1", keep: []string{"page"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			normal, forward, more := keys.Query(c.raw, c.forced, keys.NewNames(c.keep), keys.NewNames(c.ignore), 64)
			assert.False(t, more)
			assert.Equal(t, c.normal, normal)
			assert.Equal(t, c.forward, forward)
		})
	}
}

// /shop? and /shop?? are two addresses.
func TestQueryOfAnEmptyOneIsUnique(t *testing.T) {
	for _, raw := range []string{"?", "&", "=", "%26", "&&", "?&"} {
		normal, _, _ := keys.Query(raw, false, keys.Names{}, keys.Names{}, 64)
		assert.NotEqual(t, keys.EmptyQuery, normal, raw)
	}
}

func TestQueryLimit(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		more bool
	}{{"below", 9, false}, {"at the limit", 10, false}, {"above", 11, true}} {
		t.Run(c.name, func(t *testing.T) {
			raw := strings.TrimSuffix(strings.Repeat("a=1&", c.n), "&")
			normal, forward, more := keys.Query(raw, false, keys.Names{}, keys.Names{}, 10)
			assert.Equal(t, c.more, more)
			if c.more {
				assert.Empty(t, normal+forward)
			} else {
				assert.Equal(t, raw, normal)
			}
		})
	}
}

func TestParam(t *testing.T) {
	for _, c := range []struct{ name, pair, wantName, wantValue string }{
		{"plain", "a=1", "a", "1"},
		{"no value", "a", "a", ""},
		{"empty", "", "", ""},
		{"encoded", "%61%3D=%31%26", "a=", "1&"},
		{"plus", "a+b=c+d", "a b", "c d"},
		{"utf-8", "%C3%A9=%E2%82%AC", "é", "€"},
		{"malformed stays", "a%=b%2", "a%", "b%2"},
		{"what is well-formed beside it counts", "%61%zz=%31%+%3", "a%zz", "1% %3"},
		{"two percent signs", "%%61=%%", "%a", "%%"},
		{"equals in the value", "a=b=c", "a", "b=c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.wantName, keys.ParamName(c.pair))
			assert.Equal(t, c.wantValue, keys.ParamValue(c.pair))
		})
	}
}

func TestNames(t *testing.T) {
	assert.True(t, keys.Names{}.Empty())
	assert.True(t, keys.NewNames(nil).Empty())
	assert.False(t, keys.Names{}.Has("a"))
	n := keys.NewNames([]string{"a", "utm_*"})
	assert.False(t, n.Empty())
	for name, want := range map[string]bool{"a": true, "ab": false, "utm_": true, "utm_x": true, "utm": false, "": false} {
		assert.Equal(t, want, n.Has(name), name)
	}
	assert.False(t, keys.NewNames([]string{"*"}).Empty())
	assert.True(t, keys.NewNames([]string{"*"}).Has(""))
}

// TestNamesLike: a * that begins or ends a name stands for anything, elsewhere for itself.
func TestNamesLike(t *testing.T) {
	for _, c := range []struct{ list, has, hasNot string }{
		{"utm_*", "utm_ utm_x utm_*", "utm xutm_ UTM_x"},
		{"*_name", "_name x_name a_b_name *_name", "name x_names X_NAME"},
		{"*a*", "a ba ab bab", "b A"},
		{"a*b", "a*b", "ab axb"},
		{"**", "* x* *x", ""},
		{"a.b* *+c", "a.b a.bc +c x+c", "axb c"},
		{"a b_* *_c", "a b_ b_x x_c b_c", "b c ab"},
		{"\xff*", "\xff \xffa", "a"},
	} {
		n := keys.NewNames(strings.Fields(c.list))
		inQuery := regexp.MustCompile(keys.InQuery(n))
		for _, name := range strings.Fields(c.has) {
			assert.True(t, n.Has(name), "%q has %q", c.list, name)
			for _, raw := range []string{name, name + "=1", "x=1&" + name, "x&" + name + "=&y"} {
				assert.True(t, inQuery.MatchString(raw), "%q in %q", c.list, raw)
			}
		}
		for _, name := range strings.Fields(c.hasNot) {
			assert.False(t, n.Has(name), "%q has %q", c.list, name)
			assert.False(t, inQuery.MatchString("q=1&"+name+"=2"), "%q in %q", c.list, name)
		}
	}
	assert.True(t, keys.NewNames([]string{"a*"}).Has("a\nb\xff"))
}

// TestWordNames: a name has a word between what is no letter, and at a change of case.
func TestWordNames(t *testing.T) {
	for _, c := range []struct {
		list        []string
		has, hasNot string
	}{
		{
			[]string{"email", "e mail", "first name", "X_*"},
			"email EMail EMAIL email[] a[email] user.email customer-email email_2 email1 1email userEmail emailAddress e_mail e-mail eMail" +
				" firstname firstName FIRST_NAME first-name first[name] a[first][name] x_a X_A a[x_b] aX_b x_ email\xff \xffemail é.email",
			"emails xemail EMAILs emailé éemail x xx_a first name firstnames emaiL2l e",
		},
		{[]string{"*_name"}, "_name my_name My_NAME a[b_name]", "name names my_names"},
		{[]string{"*mid*"}, "mid amidst AMID", "mi d"},
		{[]string{"*"}, "a é", ""},
		{[]string{"a.b", "("}, "a.b x[a.b] (", "axb x(y"},
	} {
		n := keys.NewWordNames(c.list)
		inQuery := regexp.MustCompile(keys.InQuery(n))
		assert.False(t, n.Empty())
		for _, name := range strings.Fields(c.has) {
			assert.True(t, n.Has(name), "%q has %q", c.list, name)
			for _, raw := range []string{name, name + "=1", "q=1&" + name, "q&" + name + "=&y"} {
				assert.True(t, inQuery.MatchString(raw), "%q in %q", c.list, raw)
			}
		}
		for _, name := range strings.Fields(c.hasNot) {
			assert.False(t, n.Has(name), "%q has %q", c.list, name)
		}
	}
	assert.True(t, keys.NewWordNames([]string{"*"}).Has(""))
	assert.False(t, keys.NewWordNames([]string{"a"}).Has(""))
	assert.False(t, keys.NewWordNames(nil).Has(""))
	assert.True(t, keys.NewWordNames(nil).Empty())
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []struct{ raw, keep, ignore string }{
		{"b=2&a=1&utm_source=x", "", "utm_*"}, {"?", "", ""}, {"&&", "", ""}, {"%61=1&a=2", "a", ""},
		{"a%zz=%", "a*", "a%*"}, {"a;b=1&+=2", "", " "}, {"=&==&", "", ""},
	} {
		f.Add(seed.raw, seed.keep, seed.ignore, int64(1))
	}
	f.Fuzz(func(t *testing.T, raw, keepName, ignoreName string, seed int64) {
		var keep, ignore keys.Names
		if keepName != "" {
			keep = keys.NewNames([]string{keepName})
		}
		if ignoreName != "" {
			ignore = keys.NewNames([]string{ignoreName})
		}
		normal, forward, more := keys.Query(raw, false, keep, ignore, 100)
		if more {
			assert.GreaterOrEqual(t, strings.Count(raw, "&"), 100)
			return
		}
		var want []string // what the rule does not drop, in its order
		for _, pair := range strings.Split(raw, "&") {
			name := keys.ParamName(pair)
			if pair != "" && !ignore.Has(name) && (keep.Empty() || keep.Has(name)) {
				want = append(want, pair)
			}
		}
		assert.Equal(t, strings.Join(want, "&"), forward)
		assert.ElementsMatch(t, split(forward), split(normal))
		assert.NotEqual(t, keys.EmptyQuery, normal)

		again, _, _ := keys.Query(normal, false, keep, ignore, 100)
		assert.Equal(t, normal, again, "idempotent")
		other, _, _ := keys.Query(shuffle(forward, seed), false, keep, ignore, 100)
		assert.Equal(t, normal, other, "independent of the order of names")
	})
}

func split(query string) []string {
	if query == "" {
		return nil
	}
	return strings.Split(query, "&")
}

// shuffle reorders a query and keeps the order of pairs with one name.
func shuffle(query string, seed int64) string {
	pairs := split(query)
	byName := map[string][]string{}
	order := append([]string{}, pairs...)
	for _, pair := range pairs {
		name := keys.ParamName(pair)
		byName[name] = append(byName[name], pair)
	}
	rand.New(rand.NewSource(seed)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i, pair := range order {
		name := keys.ParamName(pair)
		order[i] = byName[name][0]
		byName[name] = byName[name][1:]
	}
	return strings.Join(order, "&")
}
