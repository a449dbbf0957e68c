package policy

import (
	"strconv"
	"strings"
)

// maxDelta is what a delta-seconds value too large to represent becomes
// (RFC 9111 §1.2.2).
const maxDelta = int64(1) << 31

// maxControl bounds what a client can have us read of its Cache-Control.
const maxControl = 4096

// Directives are the members of a Cache-Control field, of a request or of a
// response (RFC 9111 §5.2). A duration that is absent is Unset.
type Directives struct {
	Present         bool // the field was there
	NoStore         bool
	NoCache         bool // the unqualified form
	Private         bool // the unqualified form
	Public          bool
	MustRevalidate  bool
	ProxyRevalidate bool
	MustUnderstand  bool
	OnlyIfCached    bool
	Fields          []string // named by no-cache="…" and private="…"

	MaxAge               int64
	SharedMaxAge         int64
	StaleWhileRevalidate int64
	StaleIfError         int64
	MaxStale             int64
	MinFresh             int64
}

func newDirectives() Directives {
	return Directives{
		MaxAge: Unset, SharedMaxAge: Unset, StaleWhileRevalidate: Unset,
		StaleIfError: Unset, MaxStale: Unset, MinFresh: Unset,
	}
}

// ParseDirectives reads the lines of a Cache-Control field. Unknown directives
// are ignored (RFC 9111 §5.2.3). Of a directive given twice the first counts,
// and a max-age or s-maxage that is no number counts as 0 (§4.2.1). A field of
// more than maxControl bytes is not read: it counts as everything that forbids.
func ParseDirectives(lines []string) Directives {
	d := newDirectives()
	d.Present = len(lines) > 0
	size := 0
	for i := 0; i < len(lines); i++ {
		size += len(lines[i]) + 1
	}
	if size > maxControl {
		d.NoStore, d.NoCache, d.Private = true, true, true
		return d
	}
	for i := 0; i < len(lines); i++ {
		list := members(lines[i])
		for j := 0; j < len(list); j++ {
			d.setMember(strings.TrimSpace(list[j]))
		}
	}
	return d
}

func (d *Directives) setMember(member string) {
	name, value, hasValue := strings.Cut(member, "=")
	name = strings.ToLower(name)
	if strings.ContainsAny(name, " \t") {
		d.setWords(strings.Fields(name))
		return
	}
	d.set(name, value, hasValue)
}

// setWords takes a member that breaks the grammar, such as "private max-age=9"
// without a comma or "no-store =1". What its words forbid counts, what they
// would allow does not: durations become 0.
func (d *Directives) setWords(words []string) {
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "no-store", "no-cache", "private", "proxy-revalidate", "max-age", "s-maxage", "only-if-cached":
			d.set(words[i], "", true)
		}
	}
}

// members splits a comma-separated list, respecting quoted strings
// (RFC 9110 §5.6.4). A quote that is never closed is an ordinary character: it
// must not hide the members that follow.
func members(s string) []string {
	if strings.IndexByte(s, '"') < 0 {
		return strings.Split(s, ",")
	}
	var list []string
	start, from := 0, 0
	for {
		i := strings.IndexAny(s[from:], ",\"")
		if i < 0 {
			return append(list, s[start:])
		}
		i += from
		from = i + 1
		if s[i] == ',' {
			list = append(list, s[start:i])
			start = from
			continue
		}
		end := closingQuote(s, from)
		if end < 0 { // then none of the quotes after it is closed, either
			rest := strings.Split(s[i:], ",")
			rest[0] = s[start:i] + rest[0]
			return append(list, rest...)
		}
		from = end + 1
	}
}

// closingQuote returns the index of the quote that ends a quoted string whose
// content starts at from, or -1.
func closingQuote(s string, from int) int {
	for from < len(s) {
		i := strings.IndexAny(s[from:], "\"\\")
		if i < 0 {
			return -1
		}
		i += from
		if s[i] == '"' {
			return i
		}
		from = i + 2 // a quoted-pair
	}
	return -1
}

func (d *Directives) set(name, value string, hasValue bool) {
	switch name {
	case "no-store":
		d.NoStore = true
	case "no-cache":
		if fields := fieldNames(value, hasValue); len(fields) > 0 {
			d.Fields = append(d.Fields, fields...)
		} else {
			d.NoCache = true
		}
	case "private":
		if fields := fieldNames(value, hasValue); len(fields) > 0 {
			d.Fields = append(d.Fields, fields...)
		} else {
			d.Private = true
		}
	case "public":
		d.Public = true
	case "must-revalidate":
		d.MustRevalidate = true
	case "proxy-revalidate":
		d.ProxyRevalidate = true
	case "must-understand":
		d.MustUnderstand = true
	case "only-if-cached":
		d.OnlyIfCached = true
	case "max-age":
		setOnce(&d.MaxAge, delta(value))
	case "s-maxage":
		setOnce(&d.SharedMaxAge, delta(value))
	case "stale-while-revalidate":
		setOnce(&d.StaleWhileRevalidate, delta(value))
	case "stale-if-error":
		setOnce(&d.StaleIfError, delta(value))
	case "min-fresh":
		setOnce(&d.MinFresh, delta(value))
	case "max-stale":
		if hasValue {
			setOnce(&d.MaxStale, delta(value))
		} else {
			setOnce(&d.MaxStale, maxDelta*Second)
		}
	}
}

func setOnce(field *int64, value int64) {
	if *field == Unset {
		*field = value
	}
}

// fieldNames reads the list of the qualified forms, quoted or a single token.
// One that is empty or not a list of field names means the unqualified form:
// when in doubt the stricter reading.
func fieldNames(value string, hasValue bool) []string {
	if !hasValue {
		return nil
	}
	value = strings.TrimSpace(value)
	if value != "" && value[0] == '"' {
		if closingQuote(value, 1) != len(value)-1 {
			return nil
		}
		value = value[1 : len(value)-1]
	}
	var names []string
	for _, name := range strings.Split(value, ",") {
		name = strings.TrimSpace(name)
		if strings.Trim(name, tokenChars) != "" {
			return nil
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// digits, letters and tokenChars are the characters of RFC 9110 §5.6.2.
const (
	digits     = "0123456789"
	letters    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	tokenChars = "!#$%&'*+-.^_`|~" + digits + letters
)

// delta reads delta-seconds, also as a quoted string, and returns milliseconds;
// 0 if it is no non-negative integer.
func delta(value string) int64 {
	value = strings.TrimSpace(value)
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	if value == "" || strings.Trim(value, digits) != "" {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n > maxDelta {
		n = maxDelta
	}
	return n * Second
}
