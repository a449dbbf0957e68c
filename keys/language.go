package keys

import (
	"regexp"
	"strconv"
	"strings"
)

// Languages picks the language of an unprefixed URL as Odoo does
// (addons/http_routing/models/ir_http.py, _match; odoo/http.py, best_lang): by
// the frontend_lang cookie, else by the one language that Accept-Language
// likes best, and each of them taken as the nearest of the shop's languages.
type Languages struct {
	codes []string // as configured: en_US, fr_FR
	exact map[string]bool

	unknown bool
}

// UnknownLanguages tells visitors apart by what they ask for, since nobody says
// which languages there are.
func UnknownLanguages() Languages {
	return Languages{unknown: true}
}

// NewLanguages takes the codes of the shop's languages.
func NewLanguages(codes []string) Languages {
	l := Languages{codes: codes, exact: map[string]bool{}}
	for i := 0; i < len(codes); i++ {
		l.exact[codes[i]] = true
	}
	return l
}

// Codes returns the codes that were given, none if nobody says which there are.
func (l Languages) Codes() []string {
	return l.codes
}

// Pick returns what the key holds of a visitor's language: one of the codes, or "" where
// nothing asks for one of them. Where the choice is Odoo's own (en_AU in a shop with en_US
// and en_GB) it returns a ~ and the language: Odoo goes by that alone. It is not sure of an
// Accept-Language that servers read differently, and takes it for none.
func (l Languages) Pick(cookie, accept string) (code string, sure bool) {
	return Pick(&l, cookie, accept)
}

// Pick chooses the language that the key of a request holds, see Languages.Pick. It is a
// function since a call of a method is dear in an interpreter.
func Pick(l *Languages, cookie, accept string) (code string, sure bool) {
	if l.unknown {
		return asked(cookie, accept)
	}
	if cookie != "" {
		if l.exact[cookie] {
			return cookie, true
		}
		language, _, _ := strings.Cut(cookie, "_")
		if code = l.nearest(language); code != "" {
			return code, true
		}
	}
	code, sure = wanted(accept)
	if l.exact[code] {
		return code, sure
	}
	language, _, _ := strings.Cut(code, "_")
	return l.nearest(language), sure
}

// Asking returns how a request asks for what Pick has returned: by the language cookie, none
// if it is empty, and by Accept-Language.
func Asking(picked string) (cookie, accept string) {
	if picked == "" {
		return "", nobodysTag
	}
	if picked[0] == '~' {
		return picked[1:] + "_ZZ", nobodysTag
	}
	plain, _, _ := strings.Cut(picked, "@")
	return picked, strings.ReplaceAll(plain, "_", "-")
}

// nobodysTag is a language that no shop has (ISO 639-2 keeps it for local use): without
// Accept-Language, Odoo would take English to be asked for.
const nobodysTag = "qaa-ZZ"

// fallback is the language of those who ask for none (odoo/http.py, DEFAULT_LANG),
// whatever the website's own is.
const fallback = "en_US"

// wanted returns the code that Accept-Language comes to for Odoo: fr_BE of
// fr-BE, and fr of fr, to which Odoo adds a territory. It is not sure of what
// versions read differently.
func wanted(accept string) (code string, sure bool) {
	if accept == "" {
		return fallback, true
	}
	tag, sure := best(accept)
	if !sure {
		return fallback, false
	}
	language, rest, _ := strings.Cut(tag, "-")
	if rest == "" {
		if language = aliased(language); language == "" {
			return fallback, true
		}
		return language, true
	}
	if !territory.MatchString(rest) {
		return fallback, false
	}
	return language + "_" + strings.ToUpper(rest), true
}

// asked returns what a visitor asks for: by the cookie, which Odoo has set to a
// language of the website, else by Accept-Language. What has not the shape of a code
// counts for nothing.
func asked(cookie, accept string) (code string, sure bool) {
	if codeShape.MatchString(cookie) {
		return cookie, true
	}
	code, sure = wanted(accept)
	if !codeShape.MatchString(code) {
		return fallback, sure
	}
	return code, sure
}

// codeShape is the shape of the codes in res.lang: fr, fr_FR, es_419, sr@latin.
var codeShape = regexp.MustCompile(`^[a-z]{2,3}(_[A-Z]{2}|_[0-9]{3})?(@[a-z]{1,10})?$`)

// nearest returns the code that begins with language; of several, which one is Odoo's choice.
func (l Languages) nearest(language string) string {
	found := ""
	for i := 0; i < len(l.codes); i++ {
		if strings.HasPrefix(l.codes[i], language) {
			if found != "" {
				return "~" + language
			}
			found = l.codes[i]
		}
	}
	return found
}

// aliases are the languages that Odoo understands without a territory: those
// to which babel gives one (babel.core.LOCALE_ALIASES). Any other counts for
// nothing.
const aliases = " ar bg bs ca cs da de el en es et fa fi fr gl he hu id is it ja km ko lt lv mk nl nn pl pt ro ru sk sl sv th tr uk "

func aliased(language string) string {
	if language == "no" {
		return "nb"
	}
	if !strings.Contains(aliases, " "+language+" ") {
		return ""
	}
	return language
}

var (
	territory = regexp.MustCompile(`^([a-z]{2}|[0-9]{3})$`)
	plainTag  = regexp.MustCompile(`^([A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*|\*)$`)           // RFC 4647 §2.1
	weight    = regexp.MustCompile(`^[ \t]*[qQ]=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)[ \t]*$`) // RFC 9110 §12.4.2
)

// best returns the folded language of Accept-Language with the highest weight,
// of equals the first; "" for none but *. It is not sure of a header that does
// not keep to the grammar.
func best(accept string) (tag string, sure bool) {
	first, _, _ := strings.Cut(accept, ",")
	if first != "*" && plainTag.MatchString(first) { // weight 1: nothing goes before it
		return strings.ToLower(first), true
	}
	highest := 0.0
	items := strings.Split(accept, ",")
	for i := 0; i < len(items); i++ {
		name, params, weighted := strings.Cut(items[i], ";")
		name = strings.Trim(name, " \t")
		if !plainTag.MatchString(name) || (weighted && !weight.MatchString(params)) {
			return "", false
		}
		q := 1.0
		if weighted {
			q, _ = strconv.ParseFloat(strings.Trim(params, "qQ= \t"), 64)
		}
		if q == 0 {
			return "", false
		}
		if name != "*" && q > highest {
			tag = strings.ToLower(name)
			highest = q
		}
	}
	return tag, true
}
