package storage_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/seal"
	"github.com/odoocache/odoocache/cache/storage"
)

// ring has keys of so many files, each of which is made of a digit.
func ring(digits string) *seal.Ring {
	var files [][]byte
	for _, digit := range digits {
		files = append(files, bytes.Repeat([]byte(string(digit)), seal.KeyBytes))
	}
	return seal.NewRing(files, false)
}

func sealedOf(t testing.TB, r *seal.Ring, tenant, id string, e *storage.Entry) []byte {
	t.Helper()
	b, err := storage.Seal(seal.KeysOf(r, tenant), tenant, id, e)
	require.NoError(t, err)
	return b
}

// unseal leaves what it is given as it is.
func unseal(r *seal.Ring, tenant, id string, b []byte) (*storage.Entry, error) {
	return storage.Unseal(seal.KeysOf(r, tenant), tenant, id, append([]byte{}, b...))
}

// TestSealedAnswers: what is sealed comes back, and nothing of it can be read off.
func TestSealedAnswers(t *testing.T) {
	r := ring("21")
	for name, e := range samples() {
		t.Run(name, func(t *testing.T) {
			b := sealedOf(t, r, "acme", "identity", e)
			assert.NotEqual(t, b, sealedOf(t, r, "acme", "identity", e), "a nonce is used once")
			got, err := unseal(r, "acme", "identity", b)
			require.NoError(t, err)
			x := got.Sealed
			require.NotNil(t, x)
			got.Sealed = nil
			assert.Equal(t, e, got)
			first, rest, _ := bytes.Cut(b, []byte("\n"))
			words := strings.Split(string(first), " ")
			assert.Equal(t, []string{"oc2", seal.ID(bytes.Repeat([]byte("2"), 32))}, words[:2])
			if e.IsList() {
				assert.Equal(t, append([]string{"identity", "list"}, e.Variants...), words[3:])
				assert.Equal(t, string(b), x.List)
			} else {
				assert.Equal(t, []string{"identity"}, words[3:])
				assert.Empty(t, x.List)
			}
			for _, s := range append(append([]string{e.Key, e.Host, e.Path, string(e.Body), "Content-Type"}, e.Tags...), e.Vary...) {
				if len(s) > 4 {
					assert.NotContains(t, string(b), s)
				}
			}
			assert.Equal(t, len(rest), x.Bytes)
			assert.Equal(t, storage.Checksum(rest), x.Sum)
			again := append([]byte{}, rest...)
			assert.Equal(t, string(e.Body), string(storage.Opened(x, again)), "by what is known of it")
			again = append([]byte{}, rest...)
			again[0] ^= 1
			assert.Nil(t, storage.Opened(x, again))
			assert.Greater(t, got.Size(), int64(0))
		})
	}
}

// TestSealedEveryByteChanged: no changed byte, and no missing one, goes unnoticed.
func TestSealedEveryByteChanged(t *testing.T) {
	r := ring("1")
	for name, e := range samples() {
		b := sealedOf(t, r, "acme", "identity", e)
		for i := range b {
			for bit := 0; bit < 8; bit++ {
				b[i] ^= 1 << bit
				got, err := unseal(r, "acme", "identity", b)
				require.ErrorIs(t, err, storage.ErrCorrupt, "%s: bit %d of byte %d", name, bit, i)
				require.Nil(t, got)
				b[i] ^= 1 << bit
			}
			_, err := unseal(r, "acme", "identity", b[:i])
			require.ErrorIs(t, err, storage.ErrCorrupt, "%s: %d bytes", name, i)
		}
		_, err := unseal(r, "acme", "identity", append(append([]byte{}, b...), 'x'))
		require.ErrorIs(t, err, storage.ErrCorrupt, "a byte too many")
	}
}

// TestSealedElsewhere: an entry opens in its place, with its key, for its tenant.
func TestSealedElsewhere(t *testing.T) {
	e := samples()["page"]
	b := sealedOf(t, ring("1"), "acme", "identity", e)
	renamed := []byte(strings.Replace(string(b), " identity\n", " another1\n", 1))
	for _, c := range []struct {
		name       string
		ring       string
		tenant, id string
		value      []byte
		want       error
	}{
		{"another place", "1", "acme", "another1", b, storage.ErrForeign},
		{"another place, in its first line, too", "1", "acme", "another1", renamed, seal.ErrOpen},
		{"another tenant", "1", "other", "identity", b, seal.ErrOpen},
		{"another key", "2", "acme", "identity", b, storage.ErrKey},
		{"no key", "", "acme", "identity", b, storage.ErrKey},
		{"not encrypted", "1", "acme", "identity", encode(t, e), storage.ErrPlain},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := unseal(ring(c.ring), c.tenant, c.id, c.value)
			require.ErrorIs(t, err, storage.ErrCorrupt)
			require.Nil(t, got)
			if c.want != seal.ErrOpen { // which comes as a text
				require.ErrorIs(t, err, c.want)
				return
			}
			require.ErrorContains(t, err, seal.ErrOpen.Error())
			for _, other := range []error{storage.ErrKey, storage.ErrPlain, storage.ErrForeign} {
				require.NotErrorIs(t, err, other)
			}
		})
	}
	_, err := unseal(ring("21"), "acme", "identity", b)
	require.NoError(t, err, "a key that does not write any more still reads")
	_, err = storage.Decode(b)
	require.ErrorIs(t, err, storage.ErrKey, "nothing is to be encrypted here")
	_, err = storage.Seal(nil, "acme", "identity", e)
	require.ErrorIs(t, err, storage.ErrKey, "nothing is stored without a key")
}

func FuzzUnseal(f *testing.F) {
	r := ring("1")
	for _, e := range samples() {
		f.Add(sealedOf(f, r, "acme", "identity", e))
	}
	f.Add([]byte("oc2 0 0 identity\n"))
	f.Add([]byte("oc2 " + seal.KeysOf(r, "acme").Write.ID + " AAAAAAAAAAAAAAAA identity list \n0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := unseal(r, "acme", "identity", b)
		if err != nil {
			if !errors.Is(err, storage.ErrCorrupt) || e != nil {
				t.Fatalf("%v, %v", e, err)
			}
			return
		}
		if storage.Opened(e.Sealed, append([]byte{}, b[len(e.Sealed.First):]...)) == nil {
			t.Fatal("it opens once, and not again")
		}
	})
}
