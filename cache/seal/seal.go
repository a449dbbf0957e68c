// Package seal encrypts what is kept on a server: AES-256-GCM with a key for each tenant, which
// HKDF derives from the keys in files.
//
// seal.go has the algorithms, file.go reads keys, ring.go has the keys of tenants, text.go encrypts short
// texts that have to be compared.
//
// A tenant's key comes of a key in a file, of the tenant's name, and of the tenant's own key
// where there is one. Without any of these three nothing that was encrypted can be read.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

const (
	// KeyBytes is the length of a key: that of AES-256.
	KeyBytes = 32
	// NonceBytes is the length of a nonce. It is random, which bounds the messages of one key:
	// 2^32 (NIST SP 800-38D §8.3).
	NonceBytes = 12
	// TagBytes is by how much a message is longer when it is encrypted.
	TagBytes = 16
)

// ErrOpen says that bytes were not encrypted with the key, or have changed since, or that they
// belong elsewhere.
var ErrOpen = errors.New("seal: not encrypted with this key, or changed")

// Derive is HKDF-SHA256 (RFC 5869): it returns size bytes, 8160 at most, that follow from a key. Without
// the key nobody can tell them from random ones, nor from those of another salt or info.
func Derive(key, salt []byte, info string, size int) []byte {
	extract := hmac.New(sha256.New, salt)
	_, _ = extract.Write(key) // a hash does not fail
	expand := hmac.New(sha256.New, extract.Sum(nil))
	var out, block []byte
	for i := 1; len(out) < size; i++ {
		expand.Reset()
		_, _ = expand.Write(block)
		_, _ = expand.Write([]byte(info))
		_, _ = expand.Write([]byte{byte(i)})
		block = expand.Sum(nil)
		out = append(out, block...)
	}
	return out[:size]
}

// ID names a key without telling it: 8 hex digits of its hash.
func ID(key []byte) string {
	h := sha256.New()
	_, _ = h.Write([]byte("odoocache key id\x00"))
	_, _ = h.Write(key)
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// NewCipher returns AES-256-GCM with a key.
func NewCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// NewNonce returns a nonce that nobody had before.
func NewNonce() ([]byte, error) {
	nonce := make([]byte, NonceBytes)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return nonce, nil
}

// Open decrypts a message in its place, if it is what was encrypted together with data.
func Open(c cipher.AEAD, nonce, message, data []byte) ([]byte, error) {
	if len(nonce) != NonceBytes { // it would panic
		return nil, ErrOpen
	}
	plain, err := c.Open(message[:0], nonce, message, data)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}
