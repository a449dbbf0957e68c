package odoo

import (
	"bytes"
	"mime"
	"net/textproto"
	"regexp"
	"strings"
)

// token is the shape of Odoo's CSRF tokens: an HMAC-SHA1 in hex, the letter o
// and the expiry as Unix time (odoo/http.py, csrf_token).
var token = regexp.MustCompile(`^[0-9a-f]{40}o[0-9]{10}$`)

const (
	// TokenBytes is how long a token is.
	TokenBytes = 51
	tokenO     = 40 // where the letter is
)

// expiries are how the letter and a time begin: Unix time has ten digits, the first of
// them 1 until 2033 and 2 until 2065.
var expiries = [][]byte{[]byte("o1"), []byte("o2")}

// Tokens returns where tokens begin in a text. To look for the expiries takes a
// hundredth of what the pattern alone takes.
func Tokens(text []byte) []int {
	var found []int
	for _, expiry := range expiries {
		at := bytes.Index(text, expiry)
		for at >= 0 {
			from := at - tokenO
			if from >= 0 && from+TokenBytes <= len(text) && token.Match(text[from:from+TokenBytes]) {
				found = append(found, from)
			}
			next := bytes.Index(text[at+1:], expiry)
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	return found
}

// Placeholder stands for a token: 51 characters that no form encoding changes.
const Placeholder = "odoocache-csrf-token-placeholder-0000000000-0000000"

// TokenField is the name of the token's form field.
const TokenField = "csrf_token"

// WithPlaceholders returns a body without the tokens that begin at these places.
func WithPlaceholders(body []byte, found []int) []byte {
	out := append([]byte{}, body...)
	for i := 0; i < len(found); i++ {
		copy(out[found[i]:], Placeholder)
	}
	return out
}

// FieldsToComplete returns where in a URL-encoded form the placeholder is the
// whole value of the token's field. whole says that nothing follows.
func FieldsToComplete(form []byte, whole bool) []int {
	var at []int
	for _, i := range places(form) {
		before, after := i-len(TokenField)-1, i+len(Placeholder)
		if before < 0 || string(form[before:i]) != TokenField+"=" || (before > 0 && form[before-1] != '&') {
			continue
		}
		if (after == len(form) && whole) || (after < len(form) && form[after] == '&') {
			at = append(at, i)
		}
	}
	return at
}

// PartsToComplete returns where in a multipart form (RFC 7578) the placeholder
// is the whole content of the token's field, which is no file.
func PartsToComplete(form []byte, boundary string) []int {
	if boundary == "" {
		return nil
	}
	var at []int
	end := []byte("\r\n--" + boundary)
	for _, i := range places(form) {
		if !bytes.HasPrefix(form[i+len(Placeholder):], end) || i < 4 || string(form[i-4:i]) != "\r\n\r\n" {
			continue
		}
		open := "--" + boundary + "\r\n"
		from := bytes.LastIndex(form[:i-2], []byte(open))
		if from < 0 || from+len(open) > i-4 || (from > 0 && (from < 2 || string(form[from-2:from]) != "\r\n")) {
			continue
		}
		head := form[from+len(open) : i-4]
		if bytes.Contains(head, []byte("\r\n\r\n")) { // the part's header ends before: this is content
			continue
		}
		if isTokenPart(string(head)) {
			at = append(at, i)
		}
	}
	return at
}

// isTokenPart reads the header of a part.
func isTokenPart(head string) bool {
	found := false
	for _, line := range strings.Split(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		switch textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)) {
		case "Content-Disposition":
			kind, params, err := mime.ParseMediaType(value)
			_, file := params["filename"]
			if found || err != nil || kind != "form-data" || params["name"] != TokenField || file {
				return false
			}
			found = true
		case "Content-Transfer-Encoding":
			return false
		}
	}
	return found
}

// places returns where the placeholder stands.
func places(form []byte) []int {
	var at []int
	from := 0
	for {
		i := bytes.Index(form[from:], []byte(Placeholder))
		if i < 0 {
			return at
		}
		at = append(at, from+i)
		from += i + len(Placeholder)
	}
}
