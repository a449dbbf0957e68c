package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/option"
)

// Traefik makes a middleware anew for each router that uses it, with each change of its
// configuration, and most of a thousand middlewares have the same options but for their tenants
// and secrets. So what options make is kept, by a fingerprint of them, and the next middleware
// with the same ones has it at once. What a tenant has of its own (its name, its quota, who may
// purge it) is no part of that.
//
// What is kept is never changed. Options with mistakes are not kept: they are named each time.

// kept are settings without what is a tenant's own, by fingerprint.
var (
	keptMu   sync.Mutex
	kept     = map[string]*keptSettings{}
	sweeping bool // in a while, what is not in use is dropped
)

// keptSettings are settings, and when they were last asked for.
type keptSettings struct {
	s    *Settings
	used time.Time
}

const (
	// maxKept bounds what is kept. Beyond, options make what they make each time.
	maxKept = 2000

	// keepTime is how long what is not asked for is kept, at least. A change of Traefik's
	// configuration asks for all that is in use, in less time.
	keepTime = time.Minute
)

// shared returns what is kept by a fingerprint, nil if nothing is.
func shared(print string) *Settings {
	keptMu.Lock()
	k := kept[print]
	if k == nil {
		keptMu.Unlock()
		return nil
	}
	k.used = time.Now()
	if !sweeping {
		sweepLater(k.used)
	}
	keptMu.Unlock()
	return k.s
}

// share keeps settings by a fingerprint, and returns those to use: what another one has kept just
// now.
func share(print string, s *Settings) *Settings {
	if print == "" {
		return s
	}
	keptMu.Lock()
	defer keptMu.Unlock()
	k := kept[print]
	if k != nil {
		return k.s
	}
	if len(kept) >= maxKept {
		return s
	}
	now := time.Now()
	kept[print] = &keptSettings{s: s, used: now}
	if !sweeping {
		sweepLater(now)
	}
	return s
}

// sweepLater has what is not in use dropped in a while: by then a change of the configuration
// that has begun has asked for all that is. The caller holds the lock.
func sweepLater(now time.Time) {
	sweeping = true
	time.AfterFunc(keepTime, func() { sweep(now.Add(-keepTime)) })
}

// sweep drops what has not been asked for since a time.
func sweep(since time.Time) {
	keptMu.Lock()
	defer keptMu.Unlock()
	sweeping = false
	for print, k := range kept {
		if k.used.Before(since) {
			delete(kept, print)
		}
	}
}

// fingerprintOf identifies options but for what is a tenant's own, with what the files and variables
// that they name hold now. It is "" where that cannot be told: then nothing is shared.
func fingerprintOf(c *option.Config) string {
	o := *c
	o.Tenant = ""
	o.Quota = option.Quota{}
	o.Purge.Secret = nil
	o.Purge.SecretFile = nil
	o.Purge.SecretEnv = nil
	o.Purge.PreviousSecret = nil
	o.Purge.PreviousSecretFile = nil
	o.Purge.PreviousSecretEnv = nil
	text, err := json.Marshal(&o)
	if err != nil || bytes.Contains(text, notText) {
		return ""
	}
	if len(o.Rules) > 0 { // patterns are values of any kind, which JSON does not tell apart
		text = append(text, fmt.Sprintf("%q", o.Rules)...)
	}
	if len(o.Encryption.Keys) > 0 || bytes.Contains(text, fileOption) || bytes.Contains(text, envOption) {
		content, told := contents(&o.Redis, o.Encryption.Keys)
		if !told {
			return ""
		}
		text = append(text, content...)
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}

// What names a file or a variable ends in one of these, in JSON.
var fileOption, envOption = []byte(`File":`), []byte(`Env":`)

// notText is what JSON makes of bytes that are no text, whatever they are.
var notText = []byte(`\ufffd`)

// contents are those of the files and variables that options name, as they are now, each in
// quotes. It reports whether that can be told.
func contents(r *option.Redis, keys []string) (text string, told bool) {
	files := []string{r.TLS.CAFile, r.TLS.CertFile, r.TLS.KeyFile, r.Sentinel.TLS.CAFile, r.Sentinel.TLS.CertFile, r.Sentinel.TLS.KeyFile}
	files = append(files, trimmed(keys)...)
	for _, file := range []*string{r.PasswordFile, r.Sentinel.PasswordFile} {
		if file != nil {
			files = append(files, *file)
		}
	}
	var list []string
	for _, name := range []*string{r.PasswordEnv, r.Sentinel.PasswordEnv} {
		if name != nil {
			list = append(list, os.Getenv(*name))
		}
	}
	for i := 0; i < len(files); i++ {
		if files[i] == "" {
			continue
		}
		content, whole, err := readAtMost(files[i], maxContent)
		if err != nil || !whole {
			return "", false
		}
		list = append(list, content)
	}
	return fmt.Sprintf("%q", list), true
}

// maxContent bounds a file whose content is part of a fingerprint, in bytes.
const maxContent = 1 << 20

// Once is something that is made once for all who share settings, by whoever needs it first.
type Once struct {
	mu   sync.Mutex
	made interface{}
}

// Get returns it. It has it made if nobody has.
func (o *Once) Get(construct func() interface{}) interface{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.made == nil {
		o.made = construct()
	}
	return o.made
}
