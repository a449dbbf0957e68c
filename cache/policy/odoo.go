package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrSyntax is wrapped by every parse error of this package.
var ErrSyntax = errors.New("policy: syntax")

// App is what the application says in X-Odoo-Cache, the header addressed to
// this cache: "no-store", or "public, ttl=600, grace=3600, sie=86400". It goes
// before the rule, which goes before Cache-Control. Durations are Unset where
// the header leaves them to the rule. "end=25", with these or alone, says when
// the page will be wrong, and allows nothing.
type App struct {
	Present      bool // it says whether to store
	NoStore      bool
	TTL          int64
	Grace        int64
	StaleIfError int64
	End          int64 // from the request on: neither freshness nor grace outlives it
}

// ParseApp reads X-Odoo-Cache. Durations are whole seconds or carry a unit
// (10m, 1h30m). An error means that the page must not be stored: an
// application that meant to say something about its privacy was not understood.
func ParseApp(lines []string) (App, error) {
	a := App{TTL: Unset, Grace: Unset, StaleIfError: Unset, End: Unset}
	if len(lines) == 0 {
		return a, nil
	}
	public := false
	for _, item := range strings.Split(strings.Join(lines, ","), ",") {
		name, value, hasValue := strings.Cut(strings.TrimSpace(item), "=")
		var err error
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "":
		case "public":
			public = true
			err = flag(hasValue)
		case "no-store", "no-cache", "private", "no":
			a.NoStore = true
			err = flag(hasValue)
		case "ttl":
			err = setDuration(&a.TTL, value)
		case "grace", "swr":
			err = setDuration(&a.Grace, value)
		case "sie":
			err = setDuration(&a.StaleIfError, value)
		case "end":
			err = setDuration(&a.End, value)
		default:
			err = errors.New("unknown word")
		}
		if err != nil {
			return a, fmt.Errorf("%w: %q: %v; expected no-store, or public with ttl, grace and sie, or end", ErrSyntax, item, err)
		}
	}
	a.Present = public || a.NoStore
	if !a.Present && (a.End == Unset || a.TTL != Unset || a.Grace != Unset || a.StaleIfError != Unset) {
		return a, fmt.Errorf("%w: neither public nor no-store, nor end alone", ErrSyntax)
	}
	return a, nil
}

// flag refuses a value: who writes public=0 means the opposite.
func flag(hasValue bool) error {
	if hasValue {
		return errors.New("it takes no value")
	}
	return nil
}

// setDuration refuses a second value: nothing says which one is meant.
func setDuration(field *int64, value string) error {
	if *field != Unset {
		return errors.New("given twice")
	}
	ms, err := ParseDuration(value)
	*field = ms
	return err
}

// ParseDuration reads whole seconds ("600") or a Go duration ("10m") and
// returns milliseconds. Negative values are refused.
func ParseDuration(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 || n > maxDelta {
			return 0, fmt.Errorf("%w: duration %q is negative or too long", ErrSyntax, s)
		}
		return n * Second, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > time.Duration(maxDelta)*time.Second {
		return 0, fmt.Errorf("%w: duration %q; expected seconds or a duration such as 10m", ErrSyntax, s)
	}
	return int64(d / time.Millisecond), nil
}
