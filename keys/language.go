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
	tags  map[string]string // fr-fr → fr_FR

	unknown bool
}

// UnknownLanguages tells visitors apart by what they ask for, since nobody says
// which languages there are.
func UnknownLanguages() Languages {
	return Languages{unknown: true}
}

// NewLanguages takes the codes of the shop's languages.
func NewLanguages(codes []string) Languages {
	l := Languages{codes: codes, exact: map[string]bool{}, tags: map[string]string{}}
	for i := 0; i < len(codes); i++ {
		l.exact[codes[i]] = true
		l.tags[strings.ReplaceAll(strings.ToLower(codes[i]), "_", "-")] = codes[i]
	}
	return l
}

// Pick returns one of the codes, or "" where nothing asks for one of them.
// Where the choice is Odoo's own (en_AU in a shop with en_US and en_GB), or
// versions of it read a malformed header differently, Pick returns what was
// asked for after a ~, which keeps such visitors apart from all others.
func (l Languages) Pick(cookie, accept string) string {
	if l.unknown {
		return asked(cookie, accept)
	}
	if cookie != "" {
		if l.exact[cookie] {
			return cookie
		}
		language, _, _ := strings.Cut(cookie, "_")
		if code := l.nearest(language, cookie); code != "" {
			return code
		}
	}
	if accept == "" {
		return ""
	}
	tag, sure := best(accept)
	if !sure {
		return "~" + accept
	}
	language, rest, _ := strings.Cut(tag, "-")
	if rest == "" {
		language = aliased(language)
		if language == "" {
			return ""
		}
		return l.nearest(language, tag)
	}
	if !territory.MatchString(rest) {
		if l.nearest(language, tag) == "" {
			return ""
		}
		return "~" + tag
	}
	if code := l.tags[tag]; code != "" {
		return code
	}
	return l.nearest(language, tag)
}

// asked returns what a visitor asks for: by the cookie, which Odoo has set to a
// language of the website, else by Accept-Language. Those with a cookie are kept
// apart, since Odoo sets it only for those without.
func asked(cookie, accept string) string {
	if cookie != "" {
		return "=" + cookie
	}
	if accept == "" {
		return ""
	}
	tag, sure := best(accept)
	if !sure {
		return "~" + accept
	}
	return tag
}

// nearest returns the code that begins with language, if there is just one.
func (l Languages) nearest(language, asked string) string {
	found := ""
	for i := 0; i < len(l.codes); i++ {
		if strings.HasPrefix(l.codes[i], language) {
			if found != "" {
				return "~" + asked
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
			tag, highest = strings.ToLower(name), q
		}
	}
	return tag, true
}
