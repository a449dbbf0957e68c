package site

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// TokenPlaceholder stands in stored pages where a CSRF token was.
const TokenPlaceholder = "odoocache-csrf-token-placeholder-0000000000-0000000"

// MultipartForm is a form as browsers send it, with a boundary of its own.
func MultipartForm(parts ...string) string {
	body := ""
	for _, part := range parts {
		body += "--b0undary\r\n" + part + "\r\n"
	}
	return body + "--b0undary--\r\n"
}

// TokenPart is the part of a form with a token that a stored page has.
const TokenPart = "Content-Disposition: form-data; name=\"csrf_token\"\r\n\r\n" + TokenPlaceholder

// EdgeToken is how a cache with a purge secret names itself.
func EdgeToken(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("odoocache edge"))
	return hex.EncodeToString(mac.Sum(nil))[:32]
}
