package cache

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// SignatureHeader carries a signature with the purge secret in place of the
// secret itself: t=<Unix seconds>,v1=<hex HMAC-SHA256>, over the time, the
// method, the request target, the purge header and the body, each but the last
// followed by a line break.
const SignatureHeader = "X-Odoocache-Signature"

// maxSignatureAge is how far, in seconds, the time of a signature may be from
// this machine's.
const maxSignatureAge = 300

// badSignature returns what is wrong with the signature of a request. It reads
// the body, and puts it back.
func (h *Handler) badSignature(given string, r *http.Request) string {
	at, sum, ok := parseSignature(given)
	if !ok {
		return SignatureHeader + " cannot be read; expected t=<Unix seconds>,v1=<hex HMAC-SHA256>"
	}
	if age := nowMS()/1000 - at; age > maxSignatureAge || age < -maxSignatureAge {
		return "the signature is too old or from the future; expected the time within " + strconv.Itoa(maxSignatureAge) + " s"
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, h.s.Limits.PurgeBody+1))
	if err != nil {
		return "the body could not be read"
	}
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body))
	mac := hmac.New(sha256.New, []byte(h.s.Purge.Secret))
	mac.Write([]byte(strconv.FormatInt(at, 10) + "\n" + r.Method + "\n" + r.URL.RequestURI() + "\n" + strings.Join(r.Header[h.s.PurgeHeader], ",") + "\n"))
	mac.Write(body)
	if !hmac.Equal(mac.Sum(nil), sum) {
		return "the signature is wrong"
	}
	return ""
}

func parseSignature(given string) (at int64, sum []byte, ok bool) {
	for _, part := range strings.Split(given, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var err error
		switch name {
		case "t":
			at, err = strconv.ParseInt(value, 10, 64)
		case "v1":
			sum, err = hex.DecodeString(value)
		}
		if err != nil {
			return 0, nil, false
		}
	}
	return at, sum, at > 0 && len(sum) == sha256.Size
}
