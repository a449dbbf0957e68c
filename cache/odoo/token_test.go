package odoo

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPlaceholder(t *testing.T) {
	sample := strings.Repeat("a", 40) + "o" + strings.Repeat("1", 10)
	assert.True(t, token.MatchString(sample))
	assert.Len(t, Placeholder, len(sample))
	assert.False(t, token.MatchString(Placeholder))
	assert.Equal(t, Placeholder, url.QueryEscape(Placeholder), "no form encoding changes it")
}

// TestTokens: what is found by the letter and a digit is what the pattern finds.
func TestTokens(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 3)[:40]
	one, two := hex+"o1795000000", hex+"o2095000000"
	for text, want := range map[string][]string{
		"":                                    nil,
		one:                                   {one},
		one[1:]:                               nil,
		one[:50]:                              nil,
		"a" + one + two + "0":                 {one, two},
		"o1o1" + one + "o1" + two + "x" + one: {one, one, two},
		strings.ToUpper(hex) + "o1795000000":  nil,
		hex + "o179500000x":                   nil,
		hex + "o3795000000":                   nil,
	} {
		var got []string
		for _, at := range Tokens([]byte(text)) {
			got = append(got, text[at:at+TokenBytes])
		}
		assert.Equal(t, want, got, text)
		left := WithPlaceholders([]byte(text), Tokens([]byte(text)))
		assert.Empty(t, Tokens(left))
		assert.Equal(t, strings.Count(string(left), Placeholder), len(want))
		assert.Len(t, left, len(text))
	}
}

// filled returns a form with letters put where the token goes.
func filled(form []byte, at []int) []byte {
	out := append([]byte{}, form...)
	for _, i := range at {
		copy(out[i:], strings.Repeat("T", len(Placeholder)))
	}
	return out
}

var filling = strings.Repeat("T", len(Placeholder))

// FuzzFields: what is put into a URL-encoded form is the value of the token's
// field, and nothing else of the form changes.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		"csrf_token=" + Placeholder, "a=b&csrf_token=" + Placeholder + "&c=d", "a=csrf_token=" + Placeholder,
		"a=b;csrf_token=" + Placeholder, "xcsrf_token=" + Placeholder, Placeholder, "csrf_token=" + Placeholder + Placeholder,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, form []byte, whole bool) {
		if bytes.Contains(form, []byte(filling)) {
			return
		}
		out := filled(form, FieldsToComplete(form, whole))
		for _, pair := range strings.Split(string(out), "&") {
			if strings.Contains(pair, filling) {
				assert.Equal(t, TokenField+"="+filling, pair)
			}
		}
		assert.Equal(t, string(form), strings.ReplaceAll(string(out), filling, Placeholder))
	})
}

// FuzzParts: in a form that can be read, what is put in is the content of the
// token's part, which is no file.
func FuzzParts(f *testing.F) {
	const head = "Content-Disposition: form-data; name=\"csrf_token\""
	for _, seed := range []string{
		"--b\r\n" + head + "\r\n\r\n" + Placeholder + "\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b\r\n" + head + "\r\n\r\n" + Placeholder + "\r\n--b--\r\n",
		"--b\r\n" + head + "; filename=\"x\"\r\n\r\n" + Placeholder + "\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--bb\r\n" + head + "\r\n\r\n" + Placeholder + "\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n\r\n" + Placeholder + "\r\n--b--\r\n",
		"--b \r\n" + head + "\r\n\r\n" + Placeholder + "\r\n--b--\r\n",
	} {
		f.Add([]byte(seed), "b")
	}
	f.Fuzz(func(t *testing.T, form []byte, boundary string) {
		if bytes.Contains(form, []byte(filling)) || strings.ContainsAny(boundary, "\r\n") {
			return
		}
		out := filled(form, PartsToComplete(form, boundary))
		r := multipart.NewReader(bytes.NewReader(out), boundary)
		for {
			part, err := r.NextRawPart()
			if err != nil {
				return // the end, or a form that Odoo does not read either
			}
			content, err := io.ReadAll(part)
			if err != nil {
				return
			}
			if bytes.Contains(content, []byte(filling)) {
				assert.Equal(t, filling, string(content))
				assert.Equal(t, TokenField, part.FormName())
				assert.Empty(t, part.FileName())
			}
		}
	})
}
