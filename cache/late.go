package cache

import (
	"bufio"
	"bytes"
	"io"
	"net/http"

	"github.com/odoocache/odoocache/cache/odoo"
)

// The token of a form may come late: Odoo's script for forms of the website puts it behind the
// files that a visitor sends (addons/website/static/src/snippets/s_website_form). A multipart
// form whose token was not in the first csrf.formBytes is completed as it passes: the token is
// as long as its placeholder, so nothing moves. It is asked for before, since a visitor who has
// no session needs its cookie on the same request.

// lateWindow is how much of a form is looked at at a time, in bytes, and lateKept how much of
// that is held back: more than the part of a token with its delimiters (RFC 2046 §5.1.1).
const (
	lateWindow = 32 << 10
	lateKept   = 1 << 10
)

// mayComeLate reports whether a token may be in the rest of a form that begins like this.
func mayComeLate(kind, boundary string, start []byte) bool {
	return kind == "multipart/form-data" && boundary != "" && len(boundary) <= 70 && !bytes.Contains(start, []byte(`name="`+odoo.TokenField+`"`))
}

// completeLate makes a request whose form gets a token wherever the placeholder comes.
func completeLate(out *http.Request, boundary, token string) {
	out.Body = io.NopCloser(&lateForm{in: bufio.NewReaderSize(out.Body, lateWindow), boundary: boundary, token: token})
}

// lateForm is a form that is completed as it is read.
type lateForm struct {
	in       *bufio.Reader
	boundary string
	token    string
}

// Read implements io.Reader. It is called by Traefik's proxy, in a goroutine in which a panic
// would end Traefik.
func (f *lateForm) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, io.ErrUnexpectedEOF
		}
	}()
	window, err := f.in.Peek(lateWindow)
	if len(window) == 0 {
		return 0, err
	}
	if bytes.Contains(window, []byte(odoo.Placeholder)) {
		at := odoo.PartsToComplete(window, f.boundary)
		for i := 0; i < len(at); i++ {
			copy(window[at[i]:], f.token)
		}
	}
	most := len(window)
	if err == nil {
		most -= lateKept
	}
	if most > len(p) {
		most = len(p)
	}
	return f.in.Read(p[:most])
}
