package keys

import (
	"net/url"
	"strings"
)

// Names is a set of names, some of which may end in * for any continuation.
type Names struct {
	exact    map[string]bool
	prefixes []string
}

// NewNames builds a set.
func NewNames(list []string) Names {
	n := Names{exact: map[string]bool{}}
	for i := 0; i < len(list); i++ {
		if strings.HasSuffix(list[i], "*") {
			n.prefixes = append(n.prefixes, strings.TrimSuffix(list[i], "*"))
		} else {
			n.exact[list[i]] = true
		}
	}
	return n
}

// Empty reports whether the set has no members.
func (n Names) Empty() bool {
	return len(n.exact) == 0 && len(n.prefixes) == 0
}

// Has reports whether name is in the set.
func (n Names) Has(name string) bool {
	if n.exact[name] {
		return true
	}
	for i := 0; i < len(n.prefixes); i++ {
		if strings.HasPrefix(name, n.prefixes[i]) {
			return true
		}
	}
	return false
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
func Query(raw string, forced bool, keep, ignore Names, most int) (normal, forward string, more bool) {
	if raw == "" {
		if forced {
			return EmptyQuery, "", false
		}
		return "", "", false
	}
	if strings.Count(raw, "&") >= most {
		return "", "", true
	}
	pairs := strings.Split(raw, "&")
	kept := make([]string, 0, len(pairs))
	names := make([]string, 0, len(pairs))
	for i := 0; i < len(pairs); i++ {
		if pairs[i] == "" {
			continue
		}
		name := ParamName(pairs[i])
		if ignore.Has(name) || (!keep.Empty() && !keep.Has(name)) {
			continue
		}
		kept = append(kept, pairs[i])
		names = append(names, name)
	}
	if len(kept) == 0 {
		return "", "", false
	}
	forward = strings.Join(kept, "&")
	sortPairs(names, kept)
	return strings.Join(kept, "&"), forward, false
}

// ParamName returns the decoded name of a name=value pair of a query.
func ParamName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return unescape(name)
}

// ParamValue returns the decoded value of a name=value pair of a query.
func ParamValue(pair string) string {
	_, value, _ := strings.Cut(pair, "=")
	return unescape(value)
}

// unescape decodes as Odoo does (werkzeug, url_unquote_plus): an escape that is
// none stays as it is, and the others count.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
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
