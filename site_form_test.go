package odoocache_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

const tokenPlaceholder = "odoocache-csrf-token-placeholder-0000000000-0000000"

// multipartForm is a form as browsers send it, with a boundary of its own.
func multipartForm(parts ...string) string {
	body := ""
	for _, part := range parts {
		body += "--b0undary\r\n" + part + "\r\n"
	}
	return body + "--b0undary--\r\n"
}

const tokenPart = "Content-Disposition: form-data; name=\"csrf_token\"\r\n\r\n" + tokenPlaceholder

// edgeToken is how a cache with a purge secret names itself.
func edgeToken(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("odoocache edge"))
	return hex.EncodeToString(mac.Sum(nil))[:32]
}
