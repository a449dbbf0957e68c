package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/seal"
	names "github.com/odoocache/odoocache/cache/tenant"
)

// maxKeys bounds the files with keys: each of them is one that was not dropped yet.
const maxKeys = 16

// encryption reads the keys by which Redis's pages are encrypted.
func (p *problems) encryption(c option.Encryption, redis bool) EncryptionSettings {
	p.unknown("encryption.", c.Unknown)
	s := EncryptionSettings{Apart: c.TenantKeys != ""}
	if len(c.Keys) == 0 {
		if s.Apart {
			p.add("encryption.keys", "is empty, but encryption.tenantKeys is set; expected at least one file with a key")
		}
		return s
	}
	if !redis {
		p.add("encryption.keys", "is set, but there is no Redis, and memory is not encrypted; expected redis.address, or no keys")
	}
	if len(c.Keys) > maxKeys {
		p.add("encryption.keys", "has %d members; expected at most %d", len(c.Keys), maxKeys)
		return s
	}
	files := p.names("encryption.keys", c.Keys)
	known := map[string]int{}
	for i := 0; i < len(files); i++ {
		if files[i] == "" || hasString(files[:i], files[i]) { // names has said so
			continue
		}
		key, problem := readKey(files[i])
		if problem != "" {
			p.add(at("encryption.keys", i), "%s", problem)
			continue
		}
		id := seal.ID(key)
		if first, twice := known[id]; twice {
			p.add(at("encryption.keys", i), "%q has the key of %s, too; expected each key once", files[i], at("encryption.keys", first))
			continue
		}
		known[id] = i
		s.Keys = append(s.Keys, key)
		s.Files = append(s.Files, files[i])
	}
	return s
}

// ownKey reads the key of the tenant's own. Where the tenant of each request is found, the key is
// read then.
func (p *problems) ownKey(s *Settings, c *option.Encryption) {
	if s.Tenants == nil {
		s.Key = p.tenantKey(c, s.Tenant)
	} else if p.keyFolder(c) {
		s.keyFolder = c.TenantKeys
	}
}

// tenantKey reads a tenant's own key.
func (p *problems) tenantKey(c *option.Encryption, tenant string) []byte {
	if !names.IsName(tenant) || !p.keyFolder(c) { // reported
		return nil
	}
	key, problem := readKey(filepath.Join(c.TenantKeys, tenant))
	if problem != "" {
		p.add("encryption.tenantKeys", "tenant %s: %s", tenant, problem)
	}
	return key
}

// keyFolder reports whether there is a folder with keys of tenants.
func (p *problems) keyFolder(c *option.Encryption) bool {
	if strings.TrimSpace(c.TenantKeys) != c.TenantKeys {
		p.add("encryption.tenantKeys", "%q begins or ends with white space; expected the path of a folder", c.TenantKeys)
		return false
	}
	if info, err := os.Stat(c.TenantKeys); err != nil || !info.IsDir() {
		p.add("encryption.tenantKeys", "%q is no folder that can be read; expected one with a file for each tenant", c.TenantKeys)
		return false
	}
	return true
}

// readKey reads a file with a key.
func readKey(file string) (key []byte, problem string) {
	content, whole, err := readAtMost(file, seal.MaxFile)
	if err != nil {
		return nil, err.Error() + "; expected a readable file with a key"
	}
	if !whole {
		return nil, strconv.Quote(file) + " has more than 1024 bytes; expected a file with a key"
	}
	key, problem = seal.ReadKey(content)
	if problem != "" {
		return nil, strconv.Quote(file) + " " + problem
	}
	return key, ""
}
