package site

import (
	"fmt"
	"strings"
)

// Escaped writes the first character of a session's id as an octal escape in a
// quoted cookie value: Odoo reads it (werkzeug/http.py, parse_cookie).
func Escaped(id string) string {
	return fmt.Sprintf(`"\%03o%s"`, id[0], id[1:])
}

// SessionID is a session id of Odoo's shape.
func SessionID(n int) string {
	return fmt.Sprintf("%084d", n)
}

// Session returns the id that a response gives, "" if it gives none.
func (r Reply) Session() string {
	for _, line := range r.Header["Set-Cookie"] {
		if strings.HasPrefix(line, "session_id=") {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "session_id="), ";")
			return id
		}
	}
	return ""
}
