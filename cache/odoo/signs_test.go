package odoo

import (
	"bytes"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPersonalReadsAll: pages are read for less than all signs, and all are found.
func TestPersonalReadsAll(t *testing.T) {
	plainly := func(text []byte) bool {
		for _, sign := range append(append([][]byte{}, chatSigns...), userSigns...) {
			if bytes.Contains(text, sign) {
				return true
			}
		}
		return bytes.Count(text, cartSign) > bytes.Count(text, noCart)
	}
	pieces := []string{
		`"is_`, `"is_public": true`, `"is_public": `, "false", `"is_admin": false`, `"is_website_user": tru`, `"`, `_`, " ", "text", `"is_public`, `":false`,
		` data-order-id=""`, ` data-order-id=`, `"5"`, `"chat_request_`, `session"`,
	}
	for _, sign := range userSigns {
		pieces = append(pieces, string(sign))
	}
	for _, sign := range chatSigns {
		pieces = append(pieces, string(sign))
	}
	r := rand.New(rand.NewSource(1))
	found := map[bool]int{}
	for i := 0; i < 20000; i++ {
		var text strings.Builder
		rare := r.Intn(2) == 0
		for n := r.Intn(60); n > 0; n-- {
			most := len(pieces)
			if rare {
				most = 9
			}
			text.WriteString(pieces[r.Intn(most)])
		}
		want := plainly([]byte(text.String()))
		found[want]++
		require.Equal(t, want, Personal([]byte(text.String())), text.String())
	}
	require.Greater(t, found[true], 1000)
	require.Greater(t, found[false], 1000)
	require.True(t, Personal([]byte(strings.Repeat(`"is_admin": false`, 2*fewStarts)+`"is_public":false`)))
	require.False(t, Personal([]byte(strings.Repeat(`"is_admin": false`, 2*fewStarts))))
}
