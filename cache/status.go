package cache

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// hitStatus is the Cache-Status of an answer from the cache (RFC 9211 §2.1, §2.4).
func hitStatus(h *Handler, e *storage.Entry, now int64, detail string) string {
	s := h.hit + strconv.FormatInt(e.Life.TTL/1000-age(e, now)/1000, 10)
	return s + detailOf(detail)
}

// statusForwarded is the Cache-Status of an answer of the origin that was not stored
// (RFC 9211 §2.2, §2.8). status is the origin's where the client got another.
func statusForwarded(h *Handler, fwd string, status int, detail string) string {
	s := h.s.Name + "; fwd=" + fwd
	if status != 0 {
		s += "; fwd-status=" + strconv.Itoa(status)
	}
	return s + detailOf(detail)
}

// storedStatus is the Cache-Status of an answer of the origin that was stored
// (RFC 9211 §2.5).
func storedStatus(h *Handler, fwd string, status int, l policy.Life, detail string) string {
	return statusForwarded(h, fwd, status, "") + "; stored; ttl=" + ttl(l, nowMS()) + detailOf(detail)
}

// age is Life.Age of an entry without a copy of the life, which costs an
// interpreter more than the subtraction.
func age(e *storage.Entry, now int64) int64 {
	if now < e.Life.Born {
		return 0
	}
	return now - e.Life.Born
}

// ttl is what is left of the freshness lifetime in whole seconds, negative for
// a stale response: the lifetime less the Age that goes with it.
func ttl(l policy.Life, now int64) string {
	return strconv.FormatInt(l.TTL/1000-l.Age(now)/1000, 10)
}

func detailOf(word string) string {
	if word == "" {
		return ""
	}
	return "; detail=" + word
}

func nowMS() int64 {
	return time.Now().UnixMilli()
}

// What numbered keeps, for good: 2 MB, and 2 MB more for a prefix of 20 bytes. A day has
// 86,400 seconds.
const (
	maxNumber   = 99999
	maxPrefixes = 4
)

var (
	numbersMu sync.Mutex
	numbers   = map[string][]string{}
	aNumber   = regexp.MustCompile(`([0-9]+)\n`)
)

// numbered returns a prefix with each number from 0 to maxNumber, or nothing if that is
// kept for as many other prefixes as it may be. It is the same list each time, of which
// slices go into header maps: whoever writes into one in place changes it for everybody.
func numbered(prefix string) []string {
	numbersMu.Lock()
	defer numbersMu.Unlock()
	list := numbers[prefix]
	if list != nil || len(numbers) >= maxPrefixes {
		return list
	}
	digits := "1\n2\n3\n4\n5\n6\n7\n8\n9\n"
	all := "0\n" + digits
	for i := 0; i < 4; i++ { // each number with each digit behind it
		digits = aNumber.ReplaceAllString(digits, "${1}0\n${1}1\n${1}2\n${1}3\n${1}4\n${1}5\n${1}6\n${1}7\n${1}8\n${1}9\n")
		all += digits
	}
	list = strings.Split(prefix+strings.ReplaceAll(all[:len(all)-1], "\n", "\n"+prefix), "\n")
	numbers[prefix] = list
	return list
}

// statusOf is the Cache-Status of an answer that neither cache nor origin gave.
func (h *Handler) statusOf(detail string) string {
	return h.s.Name + "; detail=" + detail
}
