// Package origin replays the captured answers of an Odoo shop at Odoo's speed,
// for demonstrations and tests that want Odoo's behaviour without an Odoo.
//
// What Odoo makes anew for each visitor is made anew here: session ids, CSRF
// tokens, cookies, dates, the scheme and host that its pages echo, the cart's
// badge, the name of who is signed in. Prices can be changed while it runs.
package origin

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/test/source"
)

// The values of Options.Tokens.
const (
	// TokensSession puts the session's own CSRF token into each page, as Odoo does.
	TokensSession = "session"
	// TokensNone leaves the tokens' places empty.
	TokensNone = "none"
)

// Options configure an Origin. The zero value replays the captures of
// testdata/odoo without any sleep.
type Options struct {
	// FS holds index.json and the captures. If nil, Dir is read instead, and if
	// that is empty the repository's captures, testdata/odoo.
	FS  fs.FS
	Dir string

	// Speed multiplies the recorded render times: 1 is Odoo's own speed, 0.1 ten
	// times faster, 0 no sleep at all.
	Speed float64
	// MinSleep is the least time an answer takes, whatever Speed says.
	MinSleep time.Duration
	// Workers bounds how many answers are rendered at a time, as the number of
	// Odoo's worker processes does. 0 means no bound.
	Workers int

	// Tokens is TokensSession (the default) or TokensNone.
	Tokens string
	// AppHeaders makes it answer like an Odoo that runs the addon: X-Odoo-Cache,
	// Surrogate-Key and X-Odoo-Purge.
	AppHeaders bool
	// KeepAlive keeps connections open. Odoo's workers close each one.
	KeepAlive bool
	// Secret signs the tokens. Origins with one secret accept each other's
	// tokens; empty is a fixed secret.
	Secret string
}

// An Origin is an http.Handler that answers like an Odoo shop. It is safe for
// concurrent use.
type Origin struct {
	opts    Options
	secret  []byte
	start   time.Time
	index   Index
	exact   map[string]*page // by path and query
	byPath  map[string]*page
	missing *page // the captured 404
	cartAdd *page // may be nil
	workers chan struct{}

	mu       sync.Mutex
	sessions map[string]*session
	products map[int]*product
	orders   int

	renders sync.Map // path to *atomic.Int64
	paths   atomic.Int64
	total   atomic.Int64
}

// An Index is what index.json says.
type Index struct {
	Odoo  string `json:"odoo"` // the version that was captured
	Pages []Page `json:"pages"`
}

// A Page is one captured answer.
type Page struct {
	Name     string  `json:"name"`
	Method   string  `json:"method"`
	Path     string  `json:"path"` // with the query
	Kind     string  `json:"kind"`
	Status   int     `json:"status"`
	Bytes    int     `json:"bytes"`
	ColdMS   float64 `json:"cold_ms"`
	MedianMS float64 `json:"median_ms"`
}

// A product is what can be changed of one product.
type product struct {
	list    float64 // the price without the pricelist's discount
	factor  float64 // sale price / list price
	version int64
}

const (
	maxSessions = 1 << 16
	maxPaths    = 1 << 16
	// writeMS is how long a write takes.
	writeMS = 20
)

// New loads the captures.
func New(opts Options) (*Origin, error) {
	switch opts.Tokens {
	case "":
		opts.Tokens = TokensSession
	case TokensSession, TokensNone:
	default:
		return nil, fmt.Errorf("origin: Tokens is %q, want %q or %q", opts.Tokens, TokensSession, TokensNone)
	}
	if opts.Speed < 0 || opts.MinSleep < 0 || opts.Workers < 0 {
		return nil, errors.New("origin: Speed, MinSleep and Workers must not be negative")
	}
	if opts.Secret == "" {
		opts.Secret = "a secret for tests and demonstrations"
	}
	files := opts.FS
	if files == nil {
		dir := opts.Dir
		if dir == "" {
			root, err := source.Root()
			if err != nil {
				return nil, fmt.Errorf("origin: %w (or let Dir name the captures)", err)
			}
			dir = filepath.Join(root, "testdata", "odoo")
		}
		files = os.DirFS(dir)
	}
	o := &Origin{
		opts:     opts,
		secret:   []byte(opts.Secret),
		start:    time.Now(),
		exact:    map[string]*page{},
		byPath:   map[string]*page{},
		sessions: map[string]*session{},
		products: map[int]*product{},
		orders:   37,
	}
	if opts.Workers > 0 {
		o.workers = make(chan struct{}, opts.Workers)
	}
	if err := o.load(files); err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	return o, nil
}

// Index returns what index.json says.
func (o *Origin) Index() Index {
	idx := o.index
	idx.Pages = append([]Page(nil), o.index.Pages...)
	return idx
}

// Renders returns how often the path (without a query) has been asked for.
func (o *Origin) Renders(path string) int64 {
	if n, ok := o.renders.Load(path); ok {
		return n.(*atomic.Int64).Load()
	}
	return 0
}

// TotalRenders returns how many requests have been answered in all.
func (o *Origin) TotalRenders() int64 { return o.total.Load() }

func (o *Origin) count(path string) {
	o.total.Add(1)
	n, ok := o.renders.Load(path)
	if !ok {
		if o.paths.Load() >= maxPaths {
			return
		}
		var loaded bool
		if n, loaded = o.renders.LoadOrStore(path, new(atomic.Int64)); !loaded {
			o.paths.Add(1)
		}
	}
	n.(*atomic.Int64).Add(1)
}

// Products returns the ids of the products whose prices the captures show.
func (o *Origin) Products() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := make([]int, 0, len(o.products))
	for id := range o.products {
		ids = append(ids, id)
	}
	sort.Ints(ids)
	return ids
}

// Price returns a product's list price and how often it has been written.
// Pages show the list price struck through next to the pricelist's price, and
// once it has been written the number too: see PageVersion.
func (o *Origin) Price(id int) (list float64, version int64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, ok := o.products[id]
	if !ok {
		return 0, 0, false
	}
	return p.list, p.version, true
}

// SetPrice changes a product's list price, as a write over HTTP does, and
// returns its new version.
func (o *Origin) SetPrice(id int, list float64) (version int64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, ok := o.products[id]
	if !ok {
		return 0, false
	}
	p.list = list
	p.version++
	return p.version, true
}

// prices returns what a page that is rendered now shows of its products.
func (o *Origin) prices(ids []int) map[int]product {
	m := make(map[int]product, len(ids))
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		m[id] = *o.products[id]
	}
	return m
}

// work takes a worker and as long as a render of the given time does. It
// reports false if the client went away while all workers were busy. A render
// that has begun goes on, as it does in Odoo.
func (o *Origin) work(r *http.Request, ms float64, render func()) bool {
	if o.workers != nil {
		select {
		case o.workers <- struct{}{}:
			defer func() { <-o.workers }()
		case <-r.Context().Done():
			return false
		}
	}
	begin := time.Now()
	render()
	d := time.Duration(ms * o.opts.Speed * float64(time.Millisecond))
	if d < o.opts.MinSleep {
		d = o.opts.MinSleep
	}
	if d -= time.Since(begin); d > 0 {
		time.Sleep(d)
	}
	return true
}

// newSessionID returns 84 random characters, as Odoo makes them.
func newSessionID() string {
	var b [63]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // there is no randomness: nothing would be right after this
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func itoa(n int) string { return strconv.Itoa(n) }
