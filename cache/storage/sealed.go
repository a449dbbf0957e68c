package storage

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/odoocache/odoocache/cache/seal"
)

// The stored form of an entry that is encrypted, version 2:
//
//	oc2 <key> <nonce> <identity>[ list <identity>...]\n
//	what Encode returns, in AES-256-GCM
//
// The first line is what has to be read without a key: which key it is, and of a list what is to
// be dropped with it. Identities are hashes, as in the names of keys. With the tenant's name it is authenticated
// data: bytes that are put in another place do not open.

const sealedMagic = "oc2"

// maxSealedLine bounds the first line: limits.variants is 1000 at most.
const maxSealedLine = 64 << 10

// Each of these comes with ErrCorrupt.
var (
	// ErrKey says that there is no key for what is stored.
	ErrKey = errors.New("no key")
	// ErrPlain says that what is stored is not encrypted, though it should be.
	ErrPlain = errors.New("not encrypted")
	// ErrForeign says that what is stored belongs elsewhere.
	ErrForeign = errors.New("of another place")
)

// Sealed is what cannot be made again of an entry that is stored encrypted. It is never changed.
type Sealed struct {
	First  string // line
	Cipher cipher.AEAD
	Nonce  []byte
	Data   []byte // that is authenticated with it
	From   int    // where in the message the body begins
	Bytes  int    // after the first line
	Sum    uint32 // checksum of these
	List   string // of a list: all of it
}

// Seal returns the stored form of an entry, encrypted.
func Seal(keys *seal.Keys, tenant, id string, e *Entry) ([]byte, error) {
	if keys == nil {
		return nil, fmt.Errorf("%w: %w of tenant %s to encrypt with", ErrCorrupt, ErrKey, tenant)
	}
	plain, err := Encode(e)
	if err != nil {
		return nil, err
	}
	nonce, err := seal.NewNonce()
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %v", ErrCorrupt, ErrKey, err)
	}
	first := sealedMagic + " " + keys.Write.ID + " " + base64.RawURLEncoding.EncodeToString(nonce) + " " + id
	if e.IsList() {
		first += " list " + strings.Join(e.Variants, " ")
	}
	first += "\n"
	out := make([]byte, len(first), len(first)+len(plain)+seal.TagBytes)
	copy(out, first)
	return keys.Write.Cipher.Seal(out, nonce, plain, []byte(first+tenant)), nil
}

// Unseal reads the stored form of an entry that has to be encrypted, and changes it. The body is
// part of it.
func Unseal(keys *seal.Keys, tenant, id string, b []byte) (*Entry, error) {
	end := len(b)
	if end > maxSealedLine {
		end = maxSealedLine
	}
	i := bytes.IndexByte(b[:end], '\n') + 1
	first := string(b[:i])
	words := strings.SplitN(strings.TrimSuffix(first, "\n"), " ", 5)
	if words[0] == magic {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, ErrPlain)
	}
	if len(words) < 4 || words[0] != sealedMagic {
		return nil, fmt.Errorf("%w: no first line of what is encrypted", ErrCorrupt)
	}
	if words[3] != id {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, ErrForeign)
	}
	if keys == nil {
		return nil, fmt.Errorf("%w: %w of tenant %s", ErrCorrupt, ErrKey, tenant)
	}
	key := seal.Find(keys, words[1])
	if key == nil {
		return nil, fmt.Errorf("%w: %w of tenant %s has the ID %.20q", ErrCorrupt, ErrKey, tenant, words[1])
	}
	nonce, err := base64.RawURLEncoding.DecodeString(words[2])
	if err != nil {
		return nil, fmt.Errorf("%w: nonce %.20q", ErrCorrupt, words[2])
	}
	s := &Sealed{First: first, Cipher: key.Cipher, Nonce: nonce, Data: []byte(first + tenant), Bytes: len(b) - i, Sum: crc32.Checksum(b[i:], Castagnoli)}
	if len(words) == 5 {
		s.List = string(b)
	}
	plain, err := seal.Open(key.Cipher, nonce, b[i:], s.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	e, err := Decode(plain)
	if err != nil {
		return nil, err
	}
	s.From = len(plain) - len(e.Body)
	e.Sealed = s
	return e, nil
}

// Opened returns the body of an entry whose stored form has come again, without its first line,
// nil if that is not what it was. It changes what has come.
func Opened(s *Sealed, message []byte) []byte {
	plain, err := s.Cipher.Open(message[:0], s.Nonce, message, s.Data) // as seal.Open, without its call: the nonce is one that has opened before
	if err != nil || len(plain) < s.From {
		return nil
	}
	return plain[s.From:]
}
