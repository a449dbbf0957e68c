package policy_test

import (
	"net/http"
	"strings"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
)

// now is Tue, 14 Nov 2023 22:13:20 GMT.
const now = int64(1700000000000)

const (
	second = policy.Second
	hour   = 3600 * second
	unset  = policy.Unset
)

// header makes a header of "Name: value" lines.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

// at is the HTTP-date some seconds after now.
func at(seconds int64) string {
	return time.UnixMilli(now + seconds*second).UTC().Format(http.TimeFormat)
}

// terms are those of a request that no rule took.
func terms() policy.Terms {
	return policy.Terms{
		AppHeader: "X-Odoo-Cache", TTL: unset, Grace: unset, StaleIfError: unset, Keep: hour, VaryNames: 8,
	}
}

// get is a GET that was answered at once.
func get() policy.Request {
	return policy.Request{Method: http.MethodGet, Requested: now, Received: now}
}

// admit asks about a 200 to a plain GET.
func admit(t policy.Terms, lines ...string) policy.Admission {
	return policy.Admit(get(), http.StatusOK, header(lines...), t)
}
