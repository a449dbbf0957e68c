package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/cache/option"
)

// plainSecret is what most secrets are like. None of them is anything else.
var plainSecret = regexp.MustCompile(`^[0-9A-Za-z_-]{8,}$`)

// purgeSecret reads what allows a tenant's purges.
func purgeSecret(p *problems, c *option.Purge) string {
	if c.SecretFile != nil || c.SecretEnv != nil {
		return p.purgeSecret(c)
	}
	if c.Secret == nil {
		return ""
	}
	if plainSecret.MatchString(*c.Secret) {
		return *c.Secret
	}
	return p.purgeSecret(c)
}

// edgeToken is by what the application knows that a request came through this
// cache: only those who know the purge secret can say it. While the secret is changed both
// are said: what is rendered for an edge that Odoo does not know has no tags, so that later
// purges would miss it.
func edgeToken(secret string) string {
	if secret == "" {
		return "odoocache"
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("odoocache edge"))
	return hex.EncodeToString(mac.Sum(nil))[:32]
}

func (p *problems) purgeSecret(c *option.Purge) string {
	secret, given := p.secret("purge.", "secret", c.Secret, c.SecretFile, c.SecretEnv, badSecret)
	return p.ofPurges(secret, given)
}

// previousSecret reads the secret that was purge.secret before. Alone it would be the only one,
// and the same one would mean that nothing was changed.
func (p *problems) previousSecret(c *option.Purge, current string) string {
	secret, given := p.secret("purge.", "previousSecret", c.PreviousSecret, c.PreviousSecretFile, c.PreviousSecretEnv, badSecret)
	secret = p.ofPurges(secret, given)
	switch {
	case c.Secret == nil && c.SecretFile == nil && c.SecretEnv == nil:
		p.add(given, "is given without purge.secret; expected both, or purge.secret alone")
	case secret != "" && secret == current:
		p.add(given, "is purge.secret, too; expected the one before it, or no such option")
	}
	return secret
}

// ofPurges checks what a secret of purges has to be besides. given is the path of its option.
func (p *problems) ofPurges(secret, given string) string {
	if secret != "" && len(secret) < 8 {
		p.add(given, "has %d characters; expected at least 8", len(secret))
	}
	if secret != strings.TrimSpace(secret) {
		p.add(given, "begins or ends with white space; expected what a header can carry")
	}
	return secret
}

// givesPrevious reports whether there is a secret that was purge.secret before.
func givesPrevious(c *option.Purge) bool {
	return c.PreviousSecret != nil || c.PreviousSecretFile != nil || c.PreviousSecretEnv != nil
}

// announced returns the value of the field by which the application knows this cache: of each secret
// that counts.
func announced(s *PurgeSettings) []string {
	token := edgeToken(s.Secret)
	if s.Previous != "" {
		token += ", " + edgeToken(s.Previous)
	}
	return []string{token}
}
