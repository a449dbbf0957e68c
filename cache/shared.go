package cache

import (
	"context"
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/seal"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/cache/storage/redis"
	"github.com/odoocache/odoocache/cache/tier"
)

// Shared is what all middlewares with the same storage settings have in
// common: the storage, its memory tier, the refreshes under way, the counters.
// It outlives reloads of Traefik's configuration.
type Shared struct {
	tier  *tier.Tier
	ring  *seal.Ring // of the keys by which entries are encrypted, nil: they are not
	sieve *memory.Sieve
	token string // of this process's locks: there is one flight for a key at a time

	flights *flight.Group

	dropped dropped // by unsafe methods

	refusals refusals // of control requests, in the log

	mu        sync.Mutex
	countries map[string]*country // by tenant
	warming   map[string]int      // by tenant
	serial    int64               // of the latest handler
	askers    map[int64]func(*http.Request)
	counters  map[string]int64  // by tenant and word
	rates     map[string]*rates // of purges, by tenant
	lastLog   time.Time
	quiet     int64 // messages not logged since
}

// linger is how long a storage that no middleware uses any more is kept: a
// reload takes the old middlewares away before it puts the new ones in place.
const linger = time.Minute

// registryMu is locked before all other locks.
var (
	registryMu     sync.Mutex
	registry       = map[string]*registered{}
	configurations []*configuration // one or two, unless a test makes more
)

type registered struct {
	shared  *Shared
	users   int       // configurations
	left    time.Time // when the last of them did
	watched bool      // there is a timer
}

// configuration is one of Traefik's: all middlewares that it has made have contexts that end at one
// time. So what they use is counted for all of them together.
type configuration struct {
	ctx      context.Context    // of the first of them
	done     <-chan struct{}    // of all
	storages map[string]bool    // that they use, by fingerprint
	places   map[string][]place // by tenant, see places.go
	noted    int                // of places
}

// configurationOf returns the one that a context belongs to. The caller holds the lock.
func configurationOf(ctx context.Context) *configuration {
	done := ctx.Done()
	for i := 0; i < len(configurations); i++ {
		if configurations[i].done == done {
			return configurations[i]
		}
	}
	c := &configuration{ctx: ctx, done: done, storages: map[string]bool{}, places: map[string][]place{}}
	configurations = append(configurations, c)
	context.AfterFunc(ctx, func() { endConfiguration(c) })
	return c
}

// endConfiguration gives back what a configuration uses.
func endConfiguration(c *configuration) {
	registryMu.Lock()
	defer registryMu.Unlock()
	rest := make([]*configuration, 0, len(configurations))
	for i := 0; i < len(configurations); i++ {
		if configurations[i] != c {
			rest = append(rest, configurations[i])
		}
	}
	configurations = rest
	for print := range c.storages {
		release(print)
	}
	c.storages = nil // once
	c.places = nil
}

// Acquire returns the storage for the settings, a new one if there is none. It
// is given back when ctx ends, which Traefik sees to when it replaces the
// configuration that the middleware belongs to.
func Acquire(ctx context.Context, s config.StorageSettings) *Shared {
	registryMu.Lock()
	defer registryMu.Unlock()
	r := registry[s.Fingerprint]
	if r == nil {
		r = &registered{shared: newShared(s)}
		registry[s.Fingerprint] = r
	}
	if c := configurationOf(ctx); !c.storages[s.Fingerprint] {
		c.storages[s.Fingerprint] = true
		r.users++
	}
	return r.shared
}

// release counts a user off. If nobody comes back for the storage, it is closed after a while.
// The caller holds the lock.
func release(fingerprint string) {
	r := registry[fingerprint]
	if r == nil {
		return
	}
	r.users--
	if r.users > 0 {
		return
	}
	r.left = time.Now()
	if !r.watched {
		r.watched = true
		expireLater(fingerprint, r, linger)
	}
}

// expireLater looks after a while whether a storage is still without users. There is one timer for a
// storage, however often the configuration changes: in the interpreter it keeps alive what has
// led to it.
func expireLater(fingerprint string, r *registered, after time.Duration) {
	time.AfterFunc(after, func() { expire(fingerprint, r, time.Now()) })
}

// expire closes a storage that nobody has used for a while. Each reload leaves it without users
// for an instant: if that is now, it is looked at again.
func expire(fingerprint string, r *registered, now time.Time) {
	registryMu.Lock()
	defer registryMu.Unlock()
	if r.users > 0 {
		r.watched = false // the next one who leaves sees to it
		return
	}
	if rest := linger - now.Sub(r.left); rest > 0 {
		expireLater(fingerprint, r, rest)
		return
	}
	if registry[fingerprint] == r {
		delete(registry, fingerprint)
		r.shared.tier.Close()
	}
}

func newShared(s config.StorageSettings) *Shared {
	sh := &Shared{
		flights: flight.NewGroup(), warming: map[string]int{}, counters: map[string]int64{},
		askers: map[int64]func(*http.Request){}, rates: map[string]*rates{}, countries: map[string]*country{},
		token: strconv.FormatUint(rand.Uint64(), 36),
	}
	o := tier.Options{
		MaxStaleness: s.MaxStaleness, Journal: s.Journal, Failures: 5, MinPause: 1000, MaxPause: 30000,
		SessionTTL: s.SessionTTL, Sessions: s.Sessions, Place: s.Place,
		Admission: tier.AdmissionOptions{Bytes: s.AdmissionBytes, Window: s.AdmissionWindow, Keys: s.AdmissionKeys},
		Log:       func(message string) { sh.log(message) },
		Tell:      func(message string) { writeError(message) },
	}
	if s.Redis == nil {
		m := memory.New(s.MemoryBytes, s.MaxMarks)
		sh.sieve = m.Entries()
		o.Place = "memory " + sh.token // there is none like it
		sh.tier = tier.NewLocal(m, o)
		tier.Join(sh.tier)
		writeDebug("odoocache: no redis.address: responses are kept in this process's memory alone")
		return sh
	}
	o.MemoryBytes, o.PreparedBytes = s.MemoryBytes, s.PreparedBytes
	sh.ring = ringOf(&s.Encryption)
	sh.tier = tier.New(openRedis(s, sh.ring), o)
	tier.Join(sh.tier)
	sh.sieve = sh.tier.Memory()
	return sh
}

// number returns one that it has not returned before.
func (sh *Shared) number() int64 {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.serial++
	return sh.serial
}

// log writes an error to Traefik's log: one message a second at most, with the number of
// those that were left out.
func (sh *Shared) log(message string) {
	quiet, speak := sh.mayLog(time.Now())
	if !speak {
		return
	}
	if quiet > 0 {
		message += fmt.Sprintf(" (and %d more messages)", quiet)
	}
	writeError(message)
}

func (sh *Shared) mayLog(now time.Time) (quiet int64, speak bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if now.Sub(sh.lastLog) < time.Second {
		sh.quiet++
		return 0, false
	}
	quiet = sh.quiet
	sh.lastLog = now
	sh.quiet = 0
	return quiet, true
}

func (h *Handler) logf(format string, args ...interface{}) {
	h.shared.log("odoocache: tenant " + h.s.Tenant + ": " + fmt.Sprintf(format, args...))
}

// count counts a hit or a reason for the tenant.
func count(h *Handler, word string) {
	sh := h.shared
	sh.mu.Lock()
	sh.counters[h.s.Tenant+" "+word]++
	sh.mu.Unlock()
}

// openRedis returns the storage on the servers that the settings name. It sends nothing yet.
func openRedis(s config.StorageSettings, ring *seal.Ring) storage.Storage {
	o := *s.Redis
	o.Runs = true
	if len(s.Cluster) > 0 {
		return redis.NewCluster(resp.NewCluster(o, s.Cluster), s.MaxMarks).Encrypt(ring)
	}
	return redis.New(resp.New(o), s.MaxMarks).Encrypt(ring)
}

// ringOf returns the keys by which entries are encrypted, nil if they are not.
func ringOf(s *config.EncryptionSettings) *seal.Ring {
	if len(s.Keys) == 0 {
		return nil
	}
	for i := 0; i < len(s.Files); i++ {
		does := "reads what was encrypted with"
		if i == 0 {
			does = "encrypts with"
		}
		writeDebug("odoocache: encryption.keys: " + does + " the key of " + s.Files[i] + ", which has the ID " + seal.ID(s.Keys[i]))
		if info, err := os.Stat(s.Files[i]); err == nil && info.Mode().Perm()&0o004 != 0 {
			writeError("odoocache: encryption.keys: everybody on this machine may read " + s.Files[i] + "; expected mode 0400")
		}
	}
	return seal.NewRing(s.Keys, s.Apart)
}

// ownKey gives a tenant the key of its own. If it had another one, what is ready of its pages ends:
// the next request finds out what can still be read.
func ownKey(sh *Shared, n *tier.Tenant, s *config.Settings) {
	if sh.ring != nil && seal.SetOwn(sh.ring, s.Tenant, s.Key) {
		n.Distrust()
	}
}
