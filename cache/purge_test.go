package cache

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/keys"
)

var purgeLimits = keys.Limits{Tags: 100, Bytes: 256}

// FuzzPurgeHeader: a purge header loses nothing. Each of its words is an item, or
// the order cannot be carried out, which makes it a purge of everything.
func FuzzPurgeHeader(f *testing.F) {
	for _, seed := range []string{"product_9", "stale product_9,/shop", "/shop*, //shop.example/blog*", "*", "stale", "stale *", "http://x/y?z", "//", "/", ",", "/%zz", "stale stale"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		o := parsePurgeHeader([]string{line})
		words := strings.Fields(strings.ReplaceAll(line, ",", " "))
		everything := 0
		for i, word := range words {
			if word == "*" || i == 0 && word == "stale" {
				everything++
			}
		}
		require.Equal(t, len(words), o.items()+everything)
		members, err := o.members(purgeLimits)
		if err != nil {
			require.Regexp(t, `^(items|tags|paths|prefixes): .`, err.Error())
			return
		}
		want := o.items()
		if o.all && o.soft {
			want++
		}
		require.Len(t, members, want)
		for _, member := range members {
			require.Greater(t, len(member), 3)
			require.Equal(t, o.soft, member[0] == 's', "%q", member)
		}
	})
}

// FuzzPurgeBody: a body is understood as a whole or answered with the field that is
// wrong, and says the same when it is written down again.
func FuzzPurgeBody(f *testing.F) {
	for _, seed := range []string{`{"tags":["a"]}`, `{"all":true,"soft":true}`, `{"paths":["/a"],"prefixes":["/b*"]}`, `{"tags":["*"]}`, `{}`, `[]`, `null`, `{"tags":null}`, `{"tag":1}`, `{"all":"yes"}`, `{"tags":["a"],"tags":["b"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var o purgeOrder
		if problem := o.addJSON(body); problem != nil {
			require.NotEmpty(t, problem.problem)
			return
		}
		again, err := json.Marshal(map[string]interface{}{"tags": listed(o.tags), "paths": listed(o.paths), "prefixes": listed(o.prefixes), "all": o.all, "soft": o.soft})
		require.NoError(t, err)
		var same purgeOrder
		require.Nil(t, same.addJSON(again))
		assert.Equal(t, o.all, same.all)
		assert.Equal(t, o.soft, same.soft)
		assert.Equal(t, listed(o.tags), listed(same.tags))
		assert.Equal(t, listed(o.paths), listed(same.paths))
		assert.Len(t, same.prefixes, len(o.prefixes))
		_, _ = o.members(purgeLimits)
	})
}
