package cache

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/odoocache/odoocache/cache/odoo"
)

// What the log has of addresses and tags says where something was, and of nobody who it was.

// mostOfOne is how many bytes of an item are shown.
const mostOfOne = 60

// shownPath is what the log has of a request's path: nothing of one that has a token in it, or a
// mail address.
func (h *Handler) shownPath(path string) string {
	if odoo.OpaquePath(path) {
		return hidden
	}
	return h.shownItem(path)
}

// phone is a number of a telephone, as it is written for abroad.
var phone = regexp.MustCompile(`(?:\+|tel:)[ ./()-]*(?:[0-9][ ./()-]*){7,}`)

// hidden stands for what is not shown.
const hidden = "(hidden)"

// shownItem is what the log has of a tag or an address: nothing behind what begins a query, no
// secret, no mail address, no blank and nothing else that would look like more of the line.
func (h *Handler) shownItem(item string) string {
	plain := decodedTwice(item)
	if strings.ContainsAny(plain, "@＠") || phone.MatchString(plain) || holds(plain, h.s.Purge.Secret) || holds(plain, h.s.Purge.Previous) {
		return hidden
	}
	whole := len(item)
	if i := strings.IndexAny(item, "?#&=;"); i >= 0 {
		item = item[:i]
	}
	for _, begin := range []string{"%3f", "%3F", "%23", "%26", "%3d", "%3D", "%3b", "%3B", "%25"} {
		item, _, _ = strings.Cut(item, begin)
	}
	if len(item) > mostOfOne {
		item = item[:mostOfOne]
	}
	cut := len(item) < whole
	item = strings.Map(inLog, strings.ToValidUTF8(item, "_"))
	if cut {
		item += "…"
	}
	return item
}

func holds(text, secret string) bool {
	return secret != "" && strings.Contains(text, secret)
}

// decodedTwice undoes percent-encoding, as far as it is one.
func decodedTwice(item string) string {
	for i := 0; i < 2; i++ {
		plain, err := url.PathUnescape(item)
		if err != nil {
			return strings.NewReplacer("%40", "@", "%25", "%").Replace(item)
		}
		item = plain
	}
	return item
}

// inLog replaces what parts a line, or does not show.
func inLog(c rune) rune {
	if c == ' ' || c == ',' || c == '"' || c == '\\' || !unicode.IsPrint(c) {
		return '_'
	}
	return c
}
