package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// MaxFile bounds a file with a key, in bytes.
const MaxFile = 1 << 10

// forms are what a file with a key may hold.
const forms = "expected 32 random bytes as they are, in 64 hex digits, or in base64"

// ReadKey reads what a file with a key holds: 32 bytes, or one line with 64 hex digits or with
// base64. problem says what is wrong with it, and has nothing of it.
func ReadKey(content string) (key []byte, problem string) {
	if content == "" {
		return nil, "is empty; " + forms
	}
	line := strings.TrimSuffix(strings.TrimSuffix(content, "\n"), "\r")
	var err error
	switch {
	case len(content) == KeyBytes:
		key = []byte(content)
		if isText(content) {
			return nil, "has a text of 32 characters; " + forms + " (openssl rand -hex 32)"
		}
	case len(line) == 2*KeyBytes:
		key, err = hex.DecodeString(line)
	case len(line) == base64.StdEncoding.EncodedLen(KeyBytes):
		key, err = base64.StdEncoding.DecodeString(line)
	case len(line) == base64.RawStdEncoding.EncodedLen(KeyBytes):
		key, err = base64.RawStdEncoding.DecodeString(line)
	default:
		return nil, fmt.Sprintf("has %d bytes; %s", len(content), forms)
	}
	if err != nil || len(key) != KeyBytes {
		return nil, "has neither hex digits nor base64 of 32 bytes in its line; " + forms
	}
	if bytes.Count(key, key[:1]) == KeyBytes {
		return nil, "has 32 equal bytes; " + forms
	}
	return key, ""
}

// isText reports whether all characters are printable ASCII: random bytes never are.
func isText(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
