package keys_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/keys"
)

func TestLanguagesPick(t *testing.T) {
	shop := []string{"en_US", "fr_FR", "de_DE"}
	for _, c := range []struct {
		name   string
		codes  []string
		cookie string
		accept string
		want   string
		unsure bool
	}{
		{name: "nothing asked for is English", codes: shop, want: "en_US"},
		{name: "nothing asked for, and no English", codes: []string{"fr_FR", "de_DE"}},
		{name: "nothing asked for, another English", codes: []string{"fr_FR", "en_GB"}, want: "en_GB"},
		{name: "no languages", cookie: "fr_FR", accept: "fr"},

		{name: "cookie", codes: shop, cookie: "fr_FR", want: "fr_FR"},
		{name: "cookie before header", codes: shop, cookie: "fr_FR", accept: "de", want: "fr_FR"},
		{name: "cookie of a language near by", codes: shop, cookie: "fr_BE", accept: "de", want: "fr_FR"},
		{name: "cookie of another language", codes: shop, cookie: "it_IT", accept: "de", want: "de_DE"},
		{name: "cookie of another language alone", codes: shop, cookie: "it_IT", want: "en_US"},
		{name: "cookie in another case", codes: shop, cookie: "FR_FR", accept: "de", want: "de_DE"},
		{name: "cookie as a tag is the nearest", codes: shop, cookie: "fr-fr", accept: "de", want: "de_DE"},
		{name: "cookie that two come near to", codes: []string{"en_US", "en_GB"}, cookie: "en_AU", want: "~en"},
		{name: "cookie with a modifier", codes: []string{"sr_RS", "sr@latin"}, cookie: "sr@latin", want: "sr@latin"},

		{name: "language", codes: shop, accept: "fr", want: "fr_FR"},
		{name: "language and territory", codes: shop, accept: "fr-FR", want: "fr_FR"},
		{name: "in any case", codes: shop, accept: "FR-fr", want: "fr_FR"},
		{name: "another territory", codes: shop, accept: "fr-BE", want: "fr_FR"},
		{name: "a region by number", codes: []string{"en_US", "es_419"}, accept: "es-419", want: "es_419"},
		{name: "a browser's list", codes: shop, accept: "fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7", want: "fr_FR"},
		{name: "weights", codes: shop, accept: "en;q=0.5,fr;q=0.8,de;q=0.6", want: "fr_FR"},
		{name: "weights with space and in upper case", codes: shop, accept: "en; q=0.5, fr ;Q=0.8", want: "fr_FR"},
		{name: "no weight is the highest", codes: shop, accept: "en;q=0.9, fr", want: "fr_FR"},
		{name: "of equals the first", codes: shop, accept: "de;q=0.5,fr;q=0.5", want: "de_DE"},
		{name: "anything", codes: shop, accept: "*", want: "en_US"},
		{name: "anything before a language", codes: shop, accept: "*,fr;q=0.1", want: "fr_FR"},
		{name: "only the best counts", codes: shop, accept: "it,fr;q=0.9"},
		{name: "only the best counts, by weight", codes: shop, accept: "fr;q=0.8,it;q=0.9"},
		{name: "without a territory that Odoo knows", codes: []string{"en_US", "zh_CN"}, accept: "zh", want: "en_US"},
		{name: "the same with one", codes: []string{"en_US", "zh_CN"}, accept: "zh-CN", want: "zh_CN"},
		{name: "Norwegian is Bokmål", codes: []string{"en_US", "nb_NO"}, accept: "no", want: "nb_NO"},
		{name: "underscores are no tag", codes: shop, accept: "fr_FR", want: "en_US", unsure: true},

		{name: "two that would do", codes: []string{"en_US", "en_GB"}, accept: "en-AU", want: "~en"},
		{name: "two that would do, one meant", codes: []string{"en_US", "en_GB"}, accept: "en-GB", want: "en_GB"},
		{name: "two that would do, no territory", codes: []string{"pt_BR", "pt_PT"}, accept: "pt", want: "~pt"},
		{name: "a language whose name begins another", codes: []string{"fil_PH", "fi_FI"}, accept: "fi", want: "~fi"},
		{name: "a script", codes: []string{"en_US", "zh_TW"}, accept: "zh-Hant-TW", want: "en_US", unsure: true},
		{name: "no territory that Odoo reads", codes: shop, accept: "fr-BEL", want: "en_US", unsure: true},
		{name: "an odd tag of another language", codes: shop, accept: "it-Latn-IT", want: "en_US", unsure: true},

		{name: "weight 0", codes: shop, accept: "fr;q=0", want: "en_US", unsure: true},
		{name: "no weight at all", codes: shop, accept: "en;q=0.5,fr;q=x", want: "en_US", unsure: true},
		{name: "weight above 1", codes: shop, accept: "en;q=0.5,fr;q=5", want: "en_US", unsure: true},
		{name: "weight that is not a number", codes: shop, accept: "en;q=0.5,fr;q=NaN", want: "en_US", unsure: true},
		{name: "another parameter", codes: shop, accept: "fr;level=1", want: "en_US", unsure: true},
		{name: "empty member", codes: shop, accept: ",fr", want: "en_US", unsure: true},
		{name: "malformed after the best", codes: shop, accept: "fr,;;", want: "fr_FR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, sure := keys.NewLanguages(c.codes).Pick(c.cookie, c.accept)
			assert.Equal(t, c.want, got)
			assert.Equal(t, !c.unsure, sure)
			again, sure := keys.NewLanguages(c.codes).Pick(keys.Asking(got))
			assert.Equal(t, got, again, "asked for by what the key holds")
			assert.True(t, sure)
		})
	}
}

func FuzzLanguages(f *testing.F) {
	f.Add("en_US fr_FR", "fr_BE", "fr-FR,fr;q=0.9")
	f.Add("pt_BR pt_PT", "", "pt;q=NaN,*")
	f.Add("sr@latin", "_", "-;;q=,")
	f.Add("aaa AAA", "", "")
	f.Fuzz(func(t *testing.T, list, cookie, accept string) {
		codes := strings.Fields(list)
		l := keys.NewLanguages(codes)
		picked, _ := l.Pick(cookie, accept)
		if picked != "" && picked[0] != '~' {
			assert.Contains(t, codes, picked)
		}
		again, sure := l.Pick(keys.Asking(picked))
		assert.Equal(t, picked, again, "asked for by what the key holds")
		assert.True(t, sure)
		for _, code := range codes {
			exact, _ := l.Pick(code, accept)
			assert.Equal(t, code, exact, "an exact cookie always counts")
		}
		if cookie == "" && accept == "" {
			english, _ := l.Pick("en_US", "")
			assert.Equal(t, english, picked)
		}
		unknown := keys.UnknownLanguages()
		picked, _ = unknown.Pick(cookie, accept)
		again, _ = unknown.Pick(keys.Asking(picked))
		assert.Equal(t, picked, again)
	})
}

// Where the languages are not known, visitors are told apart by what they ask for.
func TestUnknownLanguages(t *testing.T) {
	l := keys.UnknownLanguages()
	for _, c := range []struct{ cookie, accept, want string }{
		{"", "", "en_US"},
		{"", "en-US,en;q=0.9", "en_US"},
		{"en_US", "", "en_US"},
		{"fr_FR", "de,en;q=0.5", "fr_FR"},
		{"", "de-AT,en;q=0.5", "de_AT"},
		{"", "es-419", "es_419"},
		{"", "de;q=0.4,FR;q=0.5", "fr"},
		{"", "zh", "en_US"},
		{"", "*", "en_US"},
		{"", "fr;q=, de", "en_US"},
		{"", "?", "en_US"},
		{"", "abcdefg", "en_US"},
		{"a b", "fr", "fr"},
		{"", "zh-Hant-TW", "en_US"},
	} {
		got, _ := l.Pick(c.cookie, c.accept)
		assert.Equal(t, c.want, got, "%q %q", c.cookie, c.accept)
	}
}
