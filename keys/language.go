package keys

import (
	"strconv"
	"strings"
)

// Languages picks the language of an unprefixed URL as Odoo does
// (website/models/ir_http.py): the frontend_lang cookie if the shop has that
// language, else the best match of Accept-Language.
type Languages struct {
	codes []string // as configured: en_US, fr_FR
	exact map[string]string
	short map[string]string // en → en_US, the first configured
}

// NewLanguages takes the shop's language codes, the default first.
func NewLanguages(codes []string) Languages {
	l := Languages{codes: codes, exact: map[string]string{}, short: map[string]string{}}
	for i := 0; i < len(codes); i++ {
		folded := fold(codes[i])
		l.exact[folded] = codes[i]
		language, _, _ := strings.Cut(folded, "-")
		if l.short[language] == "" {
			l.short[language] = codes[i]
		}
	}
	return l
}

func fold(code string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(code)), "_", "-")
}

// Pick returns one of the codes, or "" where nothing asks for one of them.
func (l Languages) Pick(cookie, accept string) string {
	if code := l.exact[fold(cookie)]; cookie != "" && code != "" {
		return code
	}
	best, quality := "", 0.0
	for _, item := range strings.Split(accept, ",") {
		tag, params, _ := strings.Cut(item, ";")
		q := qvalue(params)
		if code := l.match(fold(tag)); code != "" && q > quality {
			best, quality = code, q
		}
	}
	return best
}

func (l Languages) match(tag string) string {
	if code := l.exact[tag]; code != "" {
		return code
	}
	language, _, _ := strings.Cut(tag, "-")
	return l.short[language]
}

func qvalue(params string) float64 {
	_, value, found := strings.Cut(params, "q=")
	if !found {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || q < 0 || q > 1 {
		return 0
	}
	return q
}
