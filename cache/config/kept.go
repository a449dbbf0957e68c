package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/option"
)

// Traefik makes a middleware anew for each router that uses it, with each change of its
// configuration, and most of a thousand middlewares have the same options but for their tenants
// and secrets. So what options make is kept, by a fingerprint of them, and the next middleware
// with the same ones has it at once. What a tenant has of its own (its name, who may purge it)
// is no part of that.
//
// What is kept is never changed. Options with mistakes are not kept: they are named each time.

// kept are settings of tenants that have nothing of their own, by fingerprint.
var (
	keptMu   sync.Mutex
	kept     = map[string]*keptSettings{}
	sweeping bool // in a while, what is not in use is dropped
)

// keptSettings are settings, and when they were last asked for.
type keptSettings struct {
	s    Settings
	used time.Time
}

const (
	// maxKept bounds what is kept. Beyond, options make what they make each time.
	maxKept = 2000

	// keepTime is how long what is not asked for is kept, at least. A change of Traefik's
	// configuration asks for all that is in use, in less time.
	keepTime = time.Minute
)

// shared returns what is kept by a fingerprint, false if nothing is.
func shared(print string) (Settings, bool) {
	keptMu.Lock()
	defer keptMu.Unlock()
	k := kept[print]
	if k == nil {
		return Settings{}, false
	}
	use(k)
	return k.s, true
}

// share keeps settings by a fingerprint, without what is a tenant's own, and returns those to
// use: what another one has kept just now.
func share(print string, s Settings) Settings {
	if print == "" {
		return s
	}
	keptMu.Lock()
	defer keptMu.Unlock()
	k := kept[print]
	if k == nil {
		if len(kept) >= maxKept {
			return s
		}
		s.Tenant = ""
		s.Purge.Secret = ""
		s.Edge = nil
		k = &keptSettings{s: s}
		kept[print] = k
	}
	use(k)
	return k.s
}

// use notes that what is kept is in use, and has the rest dropped in a while: by then a change of
// the configuration has asked for all that is. The caller holds the lock.
func use(k *keptSettings) {
	k.used = time.Now()
	if !sweeping {
		sweeping = true
		since := k.used.Add(-keepTime)
		time.AfterFunc(keepTime, func() { sweep(since) })
	}
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

// fingerprintOf identifies options but for what is a tenant's own, with the content of the files
// that they name as it is now, hashed. It is "" where that cannot be read, or told.
//
// Each text is in it in quotes, and what is no text with its type, so that no two options have the same
// one. Options that nobody knows are part of it.
func fingerprintOf(c *option.Config) string {
	o := *c
	o.Tenant = ""
	o.Purge.Secret = nil
	o.Purge.SecretFile = nil
	o.Purge.SecretEnv = nil
	r := &o.Redis
	parts := []string{
		secretIn(r.Password), secretIn(r.PasswordFile), secretIn(r.PasswordEnv),
		secretIn(r.Sentinel.Password), secretIn(r.Sentinel.PasswordFile), secretIn(r.Sentinel.PasswordEnv),
	}
	files := []string{r.TLS.CAFile, r.TLS.CertFile, r.TLS.KeyFile, r.Sentinel.TLS.CAFile, r.Sentinel.TLS.CertFile, r.Sentinel.TLS.KeyFile}
	for _, file := range []*string{r.PasswordFile, r.Sentinel.PasswordFile} {
		if file != nil {
			files = append(files, *file)
		}
	}
	for _, name := range []*string{r.PasswordEnv, r.Sentinel.PasswordEnv} {
		if name != nil {
			parts = append(parts, os.Getenv(*name))
		}
	}
	for i := 0; i < len(files); i++ {
		if files[i] == "" {
			continue
		}
		content, err := contentOf(files[i])
		if err != nil {
			return "" // a mistake, or a large file: it is read each time
		}
		parts = append(parts, content)
	}
	r.Password = nil
	r.PasswordFile = nil
	r.PasswordEnv = nil
	r.Sentinel.Password = nil
	r.Sentinel.PasswordFile = nil
	r.Sentinel.PasswordEnv = nil
	sum := sha256.Sum256([]byte(fmt.Sprintf(quoted, o, parts)))
	return string(sum[:])
}

// quoted writes each text in quotes. It is no constant since vet does not know that the options'
// pointers have been taken out.
var quoted = "%q %q"

// secretIn tells an option that is given, but empty, from one that is not given.
func secretIn(s *string) string {
	if s == nil {
		return ""
	}
	return "=" + *s
}

// maxContent bounds a file whose content is part of a fingerprint, in bytes.
const maxContent = 1 << 20

// contentOf reads a file of at most maxContent bytes.
func contentOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxContent+1))
	if err == nil && len(b) > maxContent {
		err = errLarge
	}
	return string(b), err
}

var errLarge = errors.New("a large file")

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
