package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// SealText encrypts a short text so that the same text always becomes the same: whoever has no key learns
// nothing but that two are equal. Its nonce follows from the text, by a key of its own, so that
// no two texts have one.
func SealText(k *Key, text string) string {
	h := hmac.New(sha256.New, k.mac)
	_, _ = h.Write([]byte(text)) // a hash does not fail
	nonce := h.Sum(nil)[:NonceBytes]
	return k.ID + ":" + base64.RawURLEncoding.EncodeToString(k.texts.Seal(nonce, nonce, []byte(text), nil))
}

// OpenText decrypts what SealText has made. It reports whether there is a key for it, and it is as it was.
func OpenText(keys *Keys, sealed string) (text string, opened bool) {
	id, rest, _ := strings.Cut(sealed, ":")
	k := Find(keys, id)
	if k == nil {
		return "", false
	}
	b, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil || len(b) < NonceBytes {
		return "", false
	}
	plain, err := Open(k.texts, b[:NonceBytes], b[NonceBytes:], nil)
	if err != nil {
		return "", false
	}
	return string(plain), true
}
