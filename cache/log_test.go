package cache

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a line":              "a line",
		`"quoted" café`:       `"quoted" café`,
		"/li\nFAKE\r\n":       `/li\nFAKE\r\n`,
		"\x1b[31mred\x00\x9b": `\x1b[31mred\x00\x9b`,
		"a\u2028b\u202ec":     `a\u2028b\u202ec`,
		`/li\nFAKE`:           `/li\\nFAKE`,
		"half a rune: \xc3":   `half a rune: \xc3`,
		"":                    "",
	} {
		assert.Equal(t, want, oneLine(text))
	}
	long := oneLine(strings.Repeat("é\n", 5000))
	assert.Less(t, len(long), 2*maxLine)
	assert.True(t, strings.HasSuffix(long, "…"), "it tells that something is missing")
	assert.NotContains(t, long, "\n")
}
