package keys

import (
	"net/url"
	"regexp"
	"strings"
)

// Names is a set of names. A * that begins or ends one stands for anything.
type Names struct {
	exact map[string]bool
	like  *regexp.Regexp // matches the others; nil: there are none
	list  []string
	words bool
}

// NewNames builds a set.
func NewNames(list []string) Names {
	n := Names{exact: map[string]bool{}, list: list}
	var like []string
	for i := 0; i < len(list); i++ {
		if strings.HasPrefix(list[i], "*") || strings.HasSuffix(list[i], "*") {
			like = append(like, list[i])
		} else {
			n.exact[list[i]] = true
		}
	}
	if len(like) > 0 {
		n.like = regexp.MustCompile(`^(?:` + expression(like, `(?s:.*)`) + `)$`)
	}
	return n
}

// NewWordNames builds a set of words. It has each name with one of them in it: customer-email,
// a[email] and userEmail have email. A word ends at whatever is no letter, and where an upper
// case letter follows a lower case one; else case does not count. A space in a word may be
// such an end: "first name" is in firstname, first-name and firstName. A * that begins or ends
// a word says that it need not begin or end there.
func NewWordNames(list []string) Names {
	n := Names{exact: map[string]bool{}, list: list, words: true}
	if len(list) == 0 {
		return n
	}
	parts := make([]string, 0, len(list))
	for i := 0; i < len(list); i++ {
		word := wordExpression(list[i])
		if !strings.HasPrefix(list[i], "*") {
			word = noLetter + word
		}
		if !strings.HasSuffix(list[i], "*") {
			word += noLetter
		}
		parts = append(parts, word)
	}
	n.like = regexp.MustCompile(`(?i:` + strings.Join(parts, "|") + `)`)
	return n
}

// hasWord reports whether a set of words has a name.
func hasWord(n Names, name string) bool {
	return n.like != nil && n.like.MatchString("-"+humps.ReplaceAllString(name, "$1-$2")+"-")
}

const noLetter = `[^\pL]`

// wordExpression makes a regular expression of a word, without its *.
func wordExpression(word string) string {
	word = strings.TrimPrefix(strings.TrimSuffix(word, "*"), "*")
	return strings.ReplaceAll(regexp.QuoteMeta(strings.ToValidUTF8(word, "\uFFFD")), " ", noLetter+"*")
}

// humps are where a word ends within letters.
var humps = regexp.MustCompile(`([a-z])([A-Z])`)

// expression makes a regular expression of names, in which star stands for a * that
// begins or ends one. It compiles, whatever the names.
func expression(list []string, star string) string {
	parts := make([]string, 0, len(list))
	for i := 0; i < len(list); i++ {
		name, before, after := list[i], "", ""
		if strings.HasSuffix(name, "*") {
			name, after = name[:len(name)-1], star
		}
		if strings.HasPrefix(name, "*") {
			name, before = name[1:], star
		}
		parts = append(parts, before+regexp.QuoteMeta(strings.ToValidUTF8(name, "\uFFFD"))+after)
	}
	return strings.Join(parts, "|")
}

// InQuery returns a regular expression that matches every raw query without escapes (no
// % and no +) that has a parameter of the set. It may match others.
func InQuery(n Names) string {
	if n.words {
		list := make([]string, 0, len(n.list))
		for i := 0; i < len(n.list); i++ {
			list = append(list, wordExpression(n.list[i]))
		}
		return `(?i:` + strings.Join(list, "|") + `)`
	}
	return `(?:^|&)(?:` + expression(n.list, `[^&=]*`) + `)(?:[&=]|$)`
}

// Empty reports whether the set has no members.
func (n Names) Empty() bool {
	return len(n.list) == 0
}

// Has reports whether name is in the set.
func (n Names) Has(name string) bool {
	if n.words {
		return hasWord(n, name)
	}
	return n.exact[name] || n.like != nil && n.like.MatchString(name)
}

// EmptyQuery is the normal form of a query that is present but empty. No other
// query has it: empty pairs are dropped.
const EmptyQuery = "&"

// Query splits a raw query by what a rule says of its parameters. normal is
// what goes into the key: the kept parameters sorted by name, those of one
// name in the order given. forward is what goes to the origin: the kept
// parameters as they were sent. A parameter is dropped if ignore has it, or if
// keep is not empty and lacks it. more is true if there are over most
// parameters: then nothing was normalised.
//
// A query that is present but empty ("/shop?") is told from none by forced:
// Odoo renders alternate links only without a question mark. Its normal form is
// EmptyQuery.
func Query(raw string, forced bool, keep, ignore Names, limit int) (normal, forward string, more bool) {
	if raw == "" {
		if forced {
			return EmptyQuery, "", false
		}
		return "", "", false
	}
	if strings.Count(raw, "&") >= limit {
		return "", "", true
	}
	pairs := strings.Split(raw, "&")
	kept := make([]string, 0, len(pairs))
	names := make([]string, 0, len(pairs))
	only := !keep.Empty()
	for i := 0; i < len(pairs); i++ {
		if pairs[i] == "" {
			continue
		}
		name := ParamName(pairs[i])
		if ignore.exact[name] || ignore.like != nil && ignore.like.MatchString(name) || only && !keep.Has(name) {
			continue
		}
		kept = append(kept, pairs[i])
		names = append(names, name)
	}
	if len(kept) == 0 {
		return "", "", false
	}
	forward = strings.Join(kept, "&")
	if len(kept) == 1 {
		return forward, forward, false
	}
	sortPairs(names, kept)
	return strings.Join(kept, "&"), forward, false
}

// ParamName returns the decoded name of a name=value pair of a query.
func ParamName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	if !strings.ContainsAny(name, "%+") {
		return name
	}
	return unescape(name)
}

// ParamValue returns the decoded value of a name=value pair of a query.
func ParamValue(pair string) string {
	_, value, _ := strings.Cut(pair, "=")
	if !strings.ContainsAny(value, "%+") {
		return value
	}
	return unescape(value)
}

// unescape decodes as Odoo does (werkzeug, url_unquote_plus): an escape that is
// none stays as it is, and the others count.
func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	parts := strings.Split(strings.ReplaceAll(s, "+", " "), "%")
	for i := 1; i < len(parts); i++ {
		decoded, err := url.PathUnescape("%" + firstTwo(parts[i]))
		if err != nil {
			decoded = "%" + firstTwo(parts[i])
		}
		parts[i] = decoded + parts[i][len(firstTwo(parts[i])):]
	}
	return strings.Join(parts, "")
}

func firstTwo(s string) string {
	if len(s) > 2 {
		return s[:2]
	}
	return s
}

// sortPairs sorts pairs by name and keeps the order within a name: an
// insertion sort, since a query has few parameters.
func sortPairs(names, pairs []string) {
	for i := 1; i < len(names); i++ {
		for j := i; j > 0 && names[j] < names[j-1]; j-- {
			names[j], names[j-1] = names[j-1], names[j]
			pairs[j], pairs[j-1] = pairs[j-1], pairs[j]
		}
	}
}
