package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/seal"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// TestAES256GCM: test cases 13 to 16 of the specification of GCM that NIST has taken over (McGrew
// and Viega, "The Galois/Counter Mode of Operation", appendix B).
func TestAES256GCM(t *testing.T) {
	const plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
	const coded = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
	const key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
	zero := strings.Repeat("00", 32)
	for _, c := range []struct{ name, key, nonce, plain, data, coded, tag string }{
		{"13", zero, zero[:24], "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
		{"14", zero, zero[:24], zero[:32], "", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
		{"15", key, "cafebabefacedbaddecaf888", plain, "", coded, "b094dac5d93471bdec1a502270e3cc6c"},
		{"16", key, "cafebabefacedbaddecaf888", plain[:120], "feedfacedeadbeeffeedfacedeadbeefabaddad2", coded[:120], "76fc6ece0f4e1768cddf8853bb2d551b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			aead, err := seal.NewCipher(unhex(t, c.key))
			require.NoError(t, err)
			sealed := aead.Seal(nil, unhex(t, c.nonce), unhex(t, c.plain), unhex(t, c.data))
			assert.Equal(t, c.coded+c.tag, hex.EncodeToString(sealed))
			got, err := seal.Open(aead, unhex(t, c.nonce), sealed, unhex(t, c.data))
			require.NoError(t, err)
			assert.Equal(t, c.plain, hex.EncodeToString(got))
		})
	}
}

// TestHKDF: test cases 1 to 3 of RFC 5869, appendix A.
func TestHKDF(t *testing.T) {
	count := func(from, to byte) []byte {
		var b []byte
		for i := int(from); i <= int(to); i++ {
			b = append(b, byte(i))
		}
		return b
	}
	for _, c := range []struct {
		name            string
		key, salt, info []byte
		want            string
	}{
		{"A.1", bytes.Repeat([]byte{0x0b}, 22), count(0, 0x0c), count(0xf0, 0xf9), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"A.2", count(0, 0x4f), count(0x60, 0xaf), count(0xb0, 0xff), "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
		{"A.3", bytes.Repeat([]byte{0x0b}, 22), nil, nil, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	} {
		assert.Equal(t, c.want, hex.EncodeToString(seal.Derive(c.key, c.salt, string(c.info), len(c.want)/2)), c.name)
	}
}

// TestOpenRefuses: a message that has changed anywhere, with other data, another nonce or another key.
func TestOpenRefuses(t *testing.T) {
	aead, err := seal.NewCipher(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	other, err := seal.NewCipher(bytes.Repeat([]byte{2}, 32))
	require.NoError(t, err)
	nonce, err := seal.NewNonce()
	require.NoError(t, err)
	sealed := aead.Seal(nil, nonce, []byte("a page"), []byte("its place"))
	open := func(message []byte) error {
		_, err := seal.Open(aead, nonce, append([]byte{}, message...), []byte("its place"))
		return err
	}
	require.NoError(t, open(sealed))
	for i := range sealed {
		for bit := 0; bit < 8; bit++ {
			changed := append([]byte{}, sealed...)
			changed[i] ^= 1 << bit
			require.ErrorIs(t, open(changed), seal.ErrOpen)
		}
		require.ErrorIs(t, open(sealed[:i]), seal.ErrOpen)
	}
	_, err = seal.Open(aead, nonce, append([]byte{}, sealed...), []byte("another place"))
	require.ErrorIs(t, err, seal.ErrOpen)
	_, err = seal.Open(other, nonce, append([]byte{}, sealed...), []byte("its place"))
	require.ErrorIs(t, err, seal.ErrOpen)
	for _, n := range []int{0, 11, 13} {
		_, err = seal.Open(aead, make([]byte, n), append([]byte{}, sealed...), []byte("its place"))
		require.ErrorIs(t, err, seal.ErrOpen, "a nonce of %d bytes", n)
	}
}

func TestNonces(t *testing.T) {
	seen := map[string]bool{}
	for i := 0; i < 1000; i++ {
		nonce, err := seal.NewNonce()
		require.NoError(t, err)
		require.Len(t, nonce, seal.NonceBytes)
		seen[string(nonce)] = true
	}
	assert.Len(t, seen, 1000)
}

func TestReadKey(t *testing.T) {
	key := unhex(t, "000102030405060708090a0b0c0d0e0ff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
	digits := hex.EncodeToString(key)
	for _, content := range []string{
		string(key), digits, digits + "\n", digits + "\r\n", strings.ToUpper(digits),
		base64.StdEncoding.EncodeToString(key), base64.StdEncoding.EncodeToString(key) + "\n", base64.RawStdEncoding.EncodeToString(key) + "\r\n",
	} {
		got, problem := seal.ReadKey(content)
		assert.Empty(t, problem, "%q", content)
		assert.Equal(t, key, got, "%q", content)
	}
	for content, want := range map[string]string{
		"":                                 "is empty",
		"\n":                               "has 1 bytes",
		"short":                            "has 5 bytes",
		string(key) + "\n":                 "has 33 bytes",
		digits[:62] + "\n":                 "has 63 bytes",
		digits + "\n\n":                    "has 66 bytes",
		digits[:63] + "g":                  "has neither hex digits nor base64",
		strings.Repeat("=", 44):            "has neither hex digits nor base64",
		strings.Repeat("*", 43):            "has neither hex digits nor base64",
		strings.Repeat("A", 42) + "==":     "has neither hex digits nor base64", // 31 bytes
		"correct horse battery staple, 32": "has a text of 32 characters",
		strings.Repeat("\x00", 32):         "has 32 equal bytes",
		strings.Repeat("0", 64):            "has 32 equal bytes",
		strings.Repeat("ff", 32):           "has 32 equal bytes",
	} {
		got, problem := seal.ReadKey(content)
		assert.Nil(t, got, "%q", content)
		assert.Contains(t, problem, want, "%q", content)
		assert.Contains(t, problem, "expected 32 random bytes", "%q", content)
		if len(content) > 5 {
			assert.NotContains(t, problem, content)
		}
	}
}

// TestRing: each tenant has keys of its own, by each key in a file and by its own one.
func TestRing(t *testing.T) {
	one, two := bytes.Repeat([]byte("1"), 32), bytes.Repeat([]byte("2"), 32)
	opens := func(from, to *seal.Key) bool {
		nonce := make([]byte, seal.NonceBytes)
		_, err := seal.Open(to.Cipher, nonce, from.Cipher.Seal(nil, nonce, []byte("x"), nil), nil)
		return err == nil
	}
	r := seal.NewRing([][]byte{two, one}, false)
	a, b := seal.KeysOf(r, "a"), seal.KeysOf(r, "b")
	require.Len(t, a.Read, 2)
	assert.Same(t, a, seal.KeysOf(r, "a"))
	assert.Same(t, a.Write, a.Read[0])
	assert.Equal(t, []string{seal.ID(two), seal.ID(one)}, []string{a.Read[0].ID, a.Read[1].ID})
	assert.Same(t, a.Read[1], seal.Find(a, seal.ID(one)))
	assert.Nil(t, seal.Find(a, "0badc0de"))
	assert.False(t, opens(a.Write, b.Write), "tenants share no key")
	assert.False(t, opens(a.Read[0], a.Read[1]))
	before := seal.KeysOf(seal.NewRing([][]byte{one}, false), "a")
	assert.True(t, opens(before.Write, seal.Find(a, before.Write.ID)), "what was written before the new key came")
	assert.Nil(t, seal.KeysOf(seal.NewRing(nil, false), "a"))

	apart := seal.NewRing([][]byte{one}, true)
	assert.Nil(t, seal.KeysOf(apart, "a"), "it has no key of its own")
	assert.False(t, seal.SetOwn(apart, "a", []byte("x")), "the first one")
	first := seal.KeysOf(apart, "a")
	assert.False(t, opens(before.Write, first.Write))
	assert.False(t, seal.SetOwn(apart, "a", []byte("x")), "the same one")
	assert.Same(t, first, seal.KeysOf(apart, "a"))
	assert.True(t, seal.SetOwn(apart, "a", []byte("y")))
	second := seal.KeysOf(apart, "a")
	assert.NotEqual(t, first.Write.ID, second.Write.ID)
	assert.Regexp(t, "^"+seal.ID(one)+`\.[0-9a-f]{8}$`, second.Write.ID)
	assert.False(t, opens(first.Write, second.Write), "what is dropped is erased")
	assert.Nil(t, seal.KeysOf(apart, "b"))
}

// TestTexts: equal texts are equal, others tell nothing, and each key that reads opens them.
func TestTexts(t *testing.T) {
	one, two := bytes.Repeat([]byte("1"), 32), bytes.Repeat([]byte("2"), 32)
	before, both := seal.KeysOf(seal.NewRing([][]byte{one}, false), "a"), seal.KeysOf(seal.NewRing([][]byte{two, one}, false), "a")
	for _, text := range []string{"", "/", "shop.example/blog/", strings.Repeat("x", 5000)} {
		sealed := seal.SealText(before.Write, text)
		assert.Equal(t, sealed, seal.SealText(before.Write, text))
		assert.NotEqual(t, sealed, seal.SealText(both.Write, text))
		assert.NotEqual(t, sealed[9:25], seal.SealText(before.Write, text+"x")[9:25], "a nonce of its own")
		assert.Regexp(t, "^"+seal.ID(one)+":[A-Za-z0-9_-]+$", sealed)
		got, opened := seal.OpenText(both, sealed)
		assert.True(t, opened)
		assert.Equal(t, text, got)
		_, opened = seal.OpenText(seal.KeysOf(seal.NewRing([][]byte{one}, false), "b"), sealed)
		assert.False(t, opened, "another tenant")
		for _, wrong := range []string{"", ":", seal.ID(one), seal.ID(one) + ":", sealed[1:], sealed[:len(sealed)-2], sealed + "A", sealed[:9] + "AAAA" + sealed[13:], "0badc0de" + sealed[8:]} {
			_, opened = seal.OpenText(both, wrong)
			assert.False(t, opened, wrong)
		}
	}
}

func FuzzReadKey(f *testing.F) {
	f.Add("")
	f.Add(strings.Repeat("0f", 32) + "\r\n")
	f.Add(base64.StdEncoding.EncodeToString([]byte("\x01 a key of thirty-two bytes, yes")))
	f.Fuzz(func(t *testing.T, content string) {
		key, problem := seal.ReadKey(content)
		if (problem == "") != (len(key) == seal.KeyBytes) {
			t.Fatalf("%q: a key of %d bytes, problem %q", content, len(key), problem)
		}
	})
}
