package keys_test

import (
	"math/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/keys"
)

// pieces are what parts of keys are made of here: all that keys write between parts, and what
// looks like it.
var pieces = []string{
	"", "a", "b", "0", "1", "2", "11", "1:", "2:", "0:", ":", "v", "v1:", "-", "=", "{", "}", "{a}", "{b}", "oc:", ":e:", ":marks", "/", "//", "?", "&", "%", "%2f", "%00",
	"\x00", "\n", "\r\n", " ", ",", ";", "*", ".", "..", "@", "#", "\\", "|", "__", "$", "3:a/b", "1:a1:b", "a,b", "é", "\xff",
}

// invented makes a text of some pieces.
func invented(r *rand.Rand) string {
	b := &strings.Builder{}
	for n := r.Intn(4); n >= 0; n-- {
		b.WriteString(pieces[r.Intn(len(pieces))])
	}
	return b.String()
}

// identity is all that tells one page from another.
type identity struct {
	tenant, rule string
	target       keys.Target
	dimensions   [2]string
	name, value  string // of a field that the page varies by
}

func inventedIdentity(r *rand.Rand) identity {
	return identity{
		tenant: invented(r), rule: invented(r),
		target:     keys.Target{Scheme: invented(r), Host: invented(r), Forwarded: invented(r), Path: invented(r), Query: invented(r)},
		dimensions: [2]string{invented(r), invented(r)},
		name:       "x-" + string(rune('a'+r.Intn(3))), value: invented(r),
	}
}

func (i identity) keys() (primary, variant string) {
	primary = keys.Primary(i.tenant, i.rule, i.target, i.dimensions[:])
	return primary, keys.Variant(primary, []string{i.name}, http.Header{http.CanonicalHeaderKey(i.name): {i.value}})
}

// shifted moves the border between two neighbouring parts, as an attacker would.
func shifted(i identity, r *rand.Rand) identity {
	parts := []*string{&i.tenant, &i.rule, &i.target.Scheme, &i.target.Host, &i.target.Forwarded, &i.target.Path, &i.target.Query, &i.dimensions[0], &i.dimensions[1]}
	at := r.Intn(len(parts) - 1)
	whole := *parts[at] + *parts[at+1]
	border := r.Intn(len(whole) + 1)
	*parts[at], *parts[at+1] = whole[:border], whole[border:]
	return i
}

// TestKeysDoNotCollide: whatever stands in the parts of two keys, they are equal only if all parts
// are: of a million random pairs, half of which differ by nothing but where one part ends.
func TestKeysDoNotCollide(t *testing.T) {
	pairs := 1000000
	if testing.Short() {
		pairs = 20000
	}
	r := rand.New(rand.NewSource(1))
	entries := map[string]string{}
	different := 0
	for n := 0; n < pairs; n++ {
		a := inventedIdentity(r)
		b := inventedIdentity(r)
		if n%2 == 0 {
			b = shifted(a, r)
		}
		primaryA, variantA := a.keys()
		primaryB, variantB := b.keys()
		same := a.tenant == b.tenant && a.rule == b.rule && a.target == b.target && a.dimensions == b.dimensions
		if !same {
			different++
		}
		if same != (primaryA == primaryB) || primaryA == variantB || variantA == primaryB || !same && (variantA == variantB || keys.ID(primaryA) == keys.ID(primaryB)) {
			require.Fail(t, "two are one", "%q\n%q", a, b) // a page is no variant, either
		}
		if n%16 == 0 { // a prefix of a hash tells nobody's page either
			begin := keys.ID(primaryA)[:16]
			if other, known := entries[begin]; known {
				require.Equal(t, other, primaryA)
			}
			entries[begin] = primaryA
		}
	}
	require.Greater(t, different, pairs/4, "the pairs are worth something")
}

// TestTagsDoNotCollide: a tag of one kind is none of another, and no two values are one.
func TestTagsDoNotCollide(t *testing.T) {
	pairs := 200000
	if testing.Short() {
		pairs = 20000
	}
	r := rand.New(rand.NewSource(2))
	kinds := []string{"t", "p", "u", keys.Tenant}
	for n := 0; n < pairs; n++ {
		kindA, kindB, a, b := kinds[r.Intn(4)], kinds[r.Intn(4)], invented(r), invented(r)
		require.Equal(t, kindA == kindB && a == b, keys.HashTag(kindA, a) == keys.HashTag(kindB, b), "%s %q, %s %q", kindA, a, kindB, b)
	}
}

// TestTenantsHaveKeysOfTheirOwn: no key of one tenant in Redis is one of another's, of any kind. A
// name cannot have a brace, so what is between the braces is the tenant.
func TestTenantsHaveKeysOfTheirOwn(t *testing.T) {
	names := []string{"a", "b", "a.b", "a-b", "a_b", "A", "a:e", "a.e", "e", "marks", "a.marks", "run", "oc", "0", "00", strings.Repeat("a", 64)}
	seen := map[string]string{}
	for _, name := range names {
		id := keys.ID(name)
		for kind, key := range map[string]string{
			"entry": keys.Entry(name, id), "lock": keys.Lock(name, id), "nonce": keys.Nonce(name, id), "marks": keys.Marks(name),
			"run": keys.Run(name), "sessions": keys.Sessions(name), "changes": keys.Changes(name),
		} {
			require.Empty(t, seen[key], "%s is that of %s, too", key, seen[key])
			seen[key] = name + " " + kind
			require.Equal(t, name, key[strings.Index(key, "{")+1:strings.Index(key, "}")], "the slot of a cluster is the tenant's")
		}
	}
}
