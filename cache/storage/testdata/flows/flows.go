// Package flows goes through the main flows of package storage. It is run
// compiled and interpreted, so it is written as what Traefik interprets.
package flows

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/storage/redis"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/seal"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/cache/tier"
)

// report collects what went wrong.
type report struct {
	mu    sync.Mutex
	wrong string
	count int
}

func (r *report) check(ok bool, what string, args ...interface{}) {
	if ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if r.count < 10 {
		r.wrong += fmt.Sprintf(what, args...) + "\n"
	}
}

func open(address string) storage.Storage {
	if address == "" {
		return memory.New(1<<20, 8)
	}
	return redis.New(resp.New(resp.Options{Address: address, Timeout: 20 * time.Second, DialTimeout: 20 * time.Second}), 8)
}

func tr(s storage.Storage, memory int64) *tier.Tier {
	return tier.New(s, tier.Options{
		MemoryBytes: memory, MaxStaleness: 100, Journal: 2, Failures: 3, MinPause: 20, MaxPause: 40,
		Log: func(string) {},
	})
}

func page(tenant, key string, head storage.Head, tags []string) *storage.Entry {
	return &storage.Entry{
		Tenant: tenant, Key: key, Host: "shop.example", Path: "/shop/" + key, Epoch: head.Epoch, Seq: head.Seq, Tags: tags,
		Life: policy.Life{Born: time.Now().UnixMilli(), TTL: 60000, Grace: 1000}, Status: 200,
		Header: http.Header{"Content-Type": {"text/html"}, "Link": {"a", "b"}}, Body: []byte("body of " + key),
	}
}

// Storage goes through a storage itself; without an address it is Memory.
func Storage(address, tenant string) string {
	r := &report{}
	s := open(address)
	defer func() { s.Close() }()
	head, err := s.Head(tenant)
	r.check(err == nil && head.Epoch > 0 && head.Seq == 1, "head: %v %v", head, err)
	e := page(tenant, "k", head, []string{"x"})
	r.check(s.Store(tenant, "id", e, 60000) == nil, "store")
	got, at, err := lookup(s, tenant, "id")
	r.check(err == nil && at == head && got != nil, "lookup: %v %v", at, err)
	if got != nil {
		same := got.Tenant == e.Tenant && got.Key == e.Key && got.Path == e.Path && got.Seq == e.Seq && got.Epoch == e.Epoch &&
			string(got.Body) == string(e.Body) && got.Header.Get("Content-Type") == "text/html" && len(got.Header["Link"]) == 2 &&
			len(got.Tags) == 1 && got.Life == e.Life && got.Status == 200
		r.check(same, "entry: %+v", *got)
	}
	for i := 0; i < 30; i++ {
		_, err = s.Purge(tenant, storage.Purge{Members: []string{storage.TagMark(fmt.Sprint(i), false)}})
		r.check(err == nil, "purge: %v", err)
	}
	d, err := s.Marks(tenant, head)
	r.check(err == nil && d.Head.Seq == 31 && d.Floor > 0 && len(d.Marks) <= 8 && !d.Whole, "marks: %+v %v", d, err)
	at, err = s.Purge(tenant, storage.Purge{All: true})
	r.check(err == nil && at.Seq == 32, "flush: %v %v", at, err)
	d, err = s.Marks(tenant, storage.Head{})
	r.check(err == nil && d.Whole && d.Floor == 32 && len(d.Marks) == 0, "marks after the flush: %+v %v", d, err)
	again, err := s.Reset(tenant)
	r.check(err == nil && again.Epoch != head.Epoch && again.Seq == 1, "reset: %v %v", again, err)
	r.check(s.Remove(tenant, []string{"id"}) == nil, "remove")
	got, _, err = lookup(s, tenant, "id")
	r.check(err == nil && got == nil, "lookup after remove: %v %v", got, err)
	return r.wrong
}

// Purges goes through the ways in which a purge makes a page wrong, seen by two
// replicas.
func Purges(address, tenant string) string {
	r := &report{}
	s := open(address)
	defer func() { s.Close() }()
	a := tr(s, 1<<20)
	b := tr(s, 1<<20)
	va := a.Tenant(tenant)
	vb := b.Tenant(tenant)
	orders := []storage.Purge{
		{Members: []string{storage.TagMark("x", false)}},
		{Members: []string{storage.PrefixMark("/shop/", false)}},
		{Members: []string{storage.PrefixMark("shop.example/shop/", false)}},
		{All: true},
		{Members: []string{storage.TagMark("0", false), storage.TagMark("1", false), storage.TagMark("2", false), storage.TagMark("3", false),
			storage.TagMark("4", false), storage.TagMark("5", false), storage.TagMark("6", false), storage.TagMark("7", false), storage.TagMark("8", false)}},
		{Soft: true, Members: []string{storage.TagMark("x", true)}},
		{Members: []string{storage.TagMark("another", false)}},
	}
	for i := 0; i < len(orders); i++ {
		key := fmt.Sprintf("%s %d", tenant, i)
		f := a.Lookup(va, key)
		r.check(f.Entry == nil && f.Head.Epoch != 0, "%d: first lookup: %s", i, f.Reason)
		r.check(a.Store(va, page(tenant, key, f.Head, []string{"y", "x"})) == "", "%d: store", i)
		f = a.Lookup(va, key)
		r.check(f.Entry != nil && !f.Memory && !f.Soft, "%d: the second that asks", i)
		f = a.Lookup(va, key)
		r.check(f.Entry != nil && f.Memory && !f.Soft, "%d: hit in memory", i)
		f = b.Lookup(vb, key)
		r.check(f.Entry != nil && !f.Memory, "%d: hit in the storage", i)
		_, err := a.Purge(va, orders[i])
		r.check(err == nil, "%d: purge: %v", i, err)
		f = a.Lookup(va, key)
		gone := i < 5
		r.check((f.Entry == nil) == gone, "%d: own replica", i)
		r.check(!gone || f.Reason == policy.ReasonPurged, "%d: reason %s", i, f.Reason)
		r.check(f.Soft == (i == 5), "%d: soft", i)
		b.Memory().Remove(key)
		f = b.Lookup(vb, key)
		r.check((f.Entry == nil) == gone && f.Soft == (i == 5), "%d: other replica", i)
	}
	return r.wrong
}

// failing is a storage whose purges fail.
type failing struct {
	storage.Storage
	mu   sync.Mutex
	down bool
}

func (f *failing) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *failing) Purge(tenant string, p storage.Purge) (storage.Head, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return storage.Head{}, fmt.Errorf("%w: for the test", storage.ErrUnavailable)
	}
	return f.Storage.Purge(tenant, p)
}

// Journal keeps purges while they cannot be written; the breaker opens, and the
// timer brings them in without a request.
func Journal(address, tenant string) string {
	r := &report{}
	s := &failing{Storage: open(address)}
	t := tr(s, 1<<20)
	defer func() { t.Close() }()
	v := t.Tenant(tenant)
	r.check(t.Store(v, page(tenant, "k", t.Lookup(v, "k").Head, []string{"x"})) == "", "store")
	r.check(t.Lookup(v, "k").Entry != nil, "hit")
	s.set(true)
	for i := 0; i < 5; i++ {
		_, err := t.Purge(v, storage.Purge{Members: []string{storage.TagMark(fmt.Sprint(i), false)}})
		r.check(err != nil && errors.Is(err, storage.ErrUnavailable), "purge %d: %v", i, err)
	}
	r.check(v.Pending() == 2, "%d pending", v.Pending())
	r.check(t.Open(), "breaker")
	f := t.Lookup(v, "k")
	r.check(f.Entry == nil && f.Reason == policy.ReasonPurgePending, "lookup: %s", f.Reason)
	s.set(false)
	for i := 0; i < 500 && v.Pending() > 0; i++ {
		time.Sleep(20 * time.Millisecond)
	}
	r.check(v.Pending() == 0, "still %d pending", v.Pending())
	f = t.Lookup(v, "k")
	r.check(f.Entry == nil && f.Reason == policy.ReasonPurged, "lookup after the overflow: %s", f.Reason)
	r.check(!t.Open(), "breaker is open again")
	return r.wrong
}

// Load has goroutines that read, store and purge at once, and looks for answers
// from before a purge.
func Load(address, tenant string, rounds int) string {
	r := &report{}
	s := open(address)
	defer func() { s.Close() }()
	t := tr(s, 1<<20)
	v := t.Tenant(tenant)
	o := &origin{}
	var wg sync.WaitGroup
	for g := 0; g < 8; g++ {
		wg.Add(1)
		go func(g int) {
			defer func() { wg.Done() }()
			for i := 0; i < rounds; i++ {
				if g == 0 {
					version := o.change()
					_, err := t.Purge(v, storage.Purge{Members: []string{storage.TagMark("x", false)}})
					r.check(err == nil, "purge: %v", err)
					o.acknowledge(version)
					time.Sleep(time.Millisecond)
					continue
				}
				least := o.least()
				f := t.Lookup(v, "k")
				if f.Entry != nil {
					r.check(f.Entry.Status >= least, "version %d; %d was purged", f.Entry.Status, least-1)
					continue
				}
				r.check(f.Head.Epoch != 0, "lookup: %s", f.Reason)
				e := page(tenant, "k", f.Head, []string{"x"})
				e.Status = o.render()
				t.Store(v, e)
			}
		}(g)
	}
	wg.Wait()
	return r.wrong
}

// origin counts versions of its page, from 200 on: they are kept as a status.
type origin struct {
	mu    sync.Mutex
	now   int
	acked int
}

func (o *origin) change() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now++
	return 200 + o.now
}

func (o *origin) render() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return 200 + o.now
}

func (o *origin) acknowledge(version int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked = version
}

func (o *origin) least() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
}

// Sieve has goroutines that fill a small cache.
func Sieve() string {
	r := &report{}
	s := memory.NewSieve(100000)
	var wg sync.WaitGroup
	for g := 0; g < 4; g++ {
		wg.Add(1)
		go func(g int) {
			defer func() { wg.Done() }()
			for i := 0; i < 500; i++ {
				id := fmt.Sprint((i*7 + g*13) % 90)
				if e := s.Get(id, 0); e != nil {
					r.check(e.Key == id, "%s instead of %s", e.Key, id)
				}
				if i%3 == 0 {
					s.Remove(id)
				} else {
					s.Put(id, &storage.Entry{Key: id, Body: make([]byte, (i*37)%8000)}, 10)
				}
				r.check(s.Bytes() <= 100000, "%d bytes", s.Bytes())
			}
		}(g)
	}
	wg.Wait()
	r.check(s.Len() > 5, "%d entries", s.Len())
	r.check(s.Evicted() > 0, "none evicted")
	for i := 0; i < 90; i++ {
		r.check(s.Get(fmt.Sprint(i), 10) == nil, "expired")
	}
	r.check(s.Len() == 0 && s.Bytes() == 0, "%d entries, %d bytes after all have expired", s.Len(), s.Bytes())
	r.check(!s.Put("big", &storage.Entry{Body: make([]byte, 20000)}, 10), "one too large")

	s = memory.NewSieve(8 * 8000)
	for i := 0; i < 7; i++ {
		s.Put(fmt.Sprint(i), &storage.Entry{Body: make([]byte, 6900)}, 10)
	}
	n := s.Len()
	s.Get("0", 0)
	for i := 7; i < 12; i++ {
		s.Put(fmt.Sprint(i), &storage.Entry{Body: make([]byte, 6900)}, 10)
	}
	r.check(s.Get("0", 0) != nil, "one that was used went before those that were not")
	r.check(s.Get("1", 0) == nil, "the oldest is still there")
	r.check(n == 7 && s.Len() >= 7, "%d, then %d entries", n, s.Len())
	return r.wrong
}

// Codec decodes what it must refuse.
func Codec() string {
	r := &report{}
	e := page("t", "k", storage.Head{Epoch: 1 << 50, Seq: 3}, []string{"x", "y"})
	e.Render = 1
	e.Plain = 2
	e.Tag = "tag"
	b, err := storage.Encode(e)
	r.check(err == nil, "encode: %v", err)
	got, err := storage.Decode(b)
	r.check(err == nil && got.Render == 1 && got.Plain == 2 && got.Tag == "tag", "later fields: %v", got)
	r.check(err == nil && got.Key == "k" && string(got.Body) == "body of k", "decode: %v", err)
	for i := 0; i < len(b); i++ {
		b[i] ^= 1
		got, err = storage.Decode(b)
		r.check(got == nil && err != nil && errors.Is(err, storage.ErrCorrupt), "byte %d", i)
		b[i] ^= 1
		got, err = storage.Decode(b[:i])
		r.check(got == nil && err != nil && errors.Is(err, storage.ErrCorrupt), "%d bytes", i)
	}
	return r.wrong
}

// lookup asks a storage for an entry.
func lookup(s storage.Storage, tenant, id string) (*storage.Entry, storage.Head, error) {
	a, err := s.Find(tenant, &storage.Query{ID: id})
	return a.Entry, a.Head, err
}

// Sealed decrypts what it must refuse, and derives keys.
func Sealed() string {
	r := &report{}
	okm := fmt.Sprintf("%x", seal.Derive([]byte(strings.Repeat("\x0b", 22)), nil, "", 42)) // RFC 5869, A.3
	r.check(okm == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8", "HKDF: %s", okm)
	ring := seal.NewRing([][]byte{[]byte(strings.Repeat("k", 32))}, false)
	keys := seal.KeysOf(ring, "t")
	e := page("t", "k", storage.Head{Epoch: 1 << 50, Seq: 3}, []string{"x", "y"})
	b, err := storage.Seal(keys, "t", "id", e)
	r.check(err == nil && !strings.Contains(string(b), "shop") && !strings.Contains(string(b), "body of k"), "seal: %v", err)
	got, err := storage.Unseal(keys, "t", "id", []byte(string(b)))
	r.check(err == nil && got.Key == "k" && string(got.Body) == "body of k" && got.Header.Get("Content-Type") == "text/html", "unseal: %v", err)
	if got != nil {
		rest := []byte(string(b))[len(got.Sealed.First):]
		r.check(string(storage.Opened(got.Sealed, rest)) == "body of k", "opened")
	}
	for i := 0; i < len(b); i++ {
		c := []byte(string(b))
		c[i] ^= 1
		got, err = storage.Unseal(keys, "t", "id", c)
		r.check(got == nil && err != nil && errors.Is(err, storage.ErrCorrupt), "byte %d", i)
		got, err = storage.Unseal(keys, "t", "id", []byte(string(b))[:i])
		r.check(got == nil && err != nil && errors.Is(err, storage.ErrCorrupt), "%d bytes", i)
	}
	_, err = storage.Unseal(keys, "t", "other", []byte(string(b)))
	r.check(errors.Is(err, storage.ErrForeign), "another place: %v", err)
	_, err = storage.Unseal(seal.KeysOf(ring, "u"), "u", "id", []byte(string(b)))
	r.check(errors.Is(err, storage.ErrCorrupt), "another tenant: %v", err)
	other := seal.NewRing([][]byte{[]byte(strings.Repeat("o", 32))}, false)
	_, err = storage.Unseal(seal.KeysOf(other, "t"), "t", "id", []byte(string(b)))
	r.check(errors.Is(err, storage.ErrKey), "another key: %v", err)
	return r.wrong
}
