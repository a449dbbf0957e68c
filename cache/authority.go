package cache

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// authority is by what a control request is allowed, or what it has shown if it is not.
type authority struct {
	key string // current, previous, network, none
	by  string // signature, secret, network, none
}

// What holds for a request. Both secrets of a tenant count alike.
const (
	keyCurrent  = "current"
	keyPrevious = "previous"
	keyNetwork  = "network"
	keyNone     = "none"
)

// isControl reports whether a path is one of the control endpoint.
func (h *Handler) isControl(path string) bool {
	return path == h.s.AdminPath || strings.HasPrefix(path, h.s.AdminPath+"/")
}

// asksControl reports whether a request is for the cache, and not for the origin.
func (h *Handler) asksControl(r *http.Request) bool {
	return r.Method == "PURGE" || h.isControl(r.URL.Path)
}

// authorise returns by what a control request is allowed, or why it is refused. All that is
// configured must hold; where nothing is, nobody may.
func (h *Handler) authorise(r *http.Request) (authority, *refusal) {
	s := h.s.Purge
	who := authority{key: keyNone, by: shown(r)}
	switch {
	case s.Secret == "" && len(s.Networks) == 0:
		return who, forbidden("not-enabled", "purging by request is not enabled; set purge.secret or purge.networks")
	case s.Secret == "" && len(r.Header["Origin"]) > 0:
		return who, forbidden("browser", "a page in a browser asks, and purge.networks alone does not tell whose; set purge.secret")
	case len(s.Networks) > 0 && !inNetworks(s.Networks, r.RemoteAddr):
		return who, forbidden("address", "the address of the client is not in purge.networks")
	case s.Secret == "":
		return authority{key: keyNetwork, by: "network"}, nil
	case len(r.Header[SignatureHeader]) > 0:
		key, no := h.checkSignature(r.Header[SignatureHeader], r)
		who.key = key
		return who, no
	}
	who.key = h.keyOf(givenSecret(r))
	if who.key == keyNone {
		return who, forbidden("secret", "the secret is missing or wrong; send Authorization: Bearer, "+SecretHeader+" or "+SignatureHeader)
	}
	return who, nil
}

// shown returns what a request brings along to be allowed.
func shown(r *http.Request) string {
	if len(r.Header[SignatureHeader]) > 0 {
		return "signature"
	}
	if givenSecret(r) != "" {
		return "secret"
	}
	return "none"
}

func inNetworks(networks []netip.Prefix, remote string) bool {
	addr, err := addressIn(remote)
	if err != nil {
		return false
	}
	for i := 0; i < len(networks); i++ {
		if networks[i].Contains(addr) {
			return true
		}
	}
	return false
}

// addressIn reads an address, perhaps with a port.
func addressIn(remote string) (netip.Addr, error) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, err := netip.ParseAddr(host)
	return addr.Unmap().WithZone(""), err
}

func givenSecret(r *http.Request) string {
	if s := r.Header.Get(SecretHeader); s != "" {
		return s
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// keyOf returns which secret one is that was given. Both are compared, whatever comes of the
// first. An empty one is no secret: there may be no previous one.
func (h *Handler) keyOf(given string) string {
	s := h.s.Purge
	current, previous := sameSecret(s.Secret, given), sameSecret(s.Previous, given)
	switch {
	case given == "":
		return keyNone
	case current:
		return keyCurrent
	case previous:
		return keyPrevious
	}
	return keyNone
}

// sameSecret compares in constant time, whatever the lengths.
func sameSecret(want, given string) bool {
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
