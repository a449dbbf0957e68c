package site

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Text is a body that is worth a coding.
var Text = strings.Repeat("<p>a paragraph of a page</p>\n", 200)

// Unzip returns what a gzip body holds.
func Unzip(t *testing.T, body string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(body))
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(b)
}

// Zipped returns a gzip body.
func Zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// HTMLPage is a page as Odoo ends it.
func HTMLPage(body string) string { return "<html><body>" + body + "</body></html>" }

// HTMLText is the Content-Type of a page.
const HTMLText = "text/html; charset=utf-8"
