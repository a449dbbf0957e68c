// Package traffic loads a Traefik with visitors who know what page they have to get.
package traffic

import (
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// Press is an origin whose every page tells whose it is, which render of it this
// is, and when that began. A POST makes a new version of all pages with a tag,
// and purges them.
type Press struct {
	Backend *stack.Backend

	Groups int64         // the pages of a tenant bear so many tags
	Render time.Duration // of a page
	Filler int           // bytes of a page, about
	Kind   string        // its Content-Type, if it is not text, which would be stored in gzip

	count atomic.Int64
	Wreck atomic.Pointer[http.HandlerFunc] // what becomes of pages

	mu       sync.Mutex
	versions map[string]int64 // by host and tag
}

var processStart = time.Now()

// sinceStart is a time in ns that origin and clients have in common.
func sinceStart() int64 {
	return int64(time.Since(processStart))
}

// URL returns the address of the origin.
func (o *Press) URL() string { return o.Backend.URL }

func (o *Press) tag(path string) string {
	n, _ := strconv.ParseInt(path[strings.LastIndexByte(path, '-')+1:], 10, 64)
	return "group-" + strconv.FormatInt(n%o.Groups, 10)
}

func (o *Press) version(host, tag string, more int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.versions == nil {
		o.versions = map[string]int64{}
	}
	o.versions[host+tag] += more
	return o.versions[host+tag]
}

// ServeHTTP prints a page, or takes a POST.
func (o *Press) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		tag := r.URL.Query().Get("tag")
		site.Page(strconv.FormatInt(o.version(r.Host, tag, 1), 10), "X-Odoo-Purge: "+tag)(rw, r)
		return
	}
	if wreck := o.Wreck.Load(); wreck != nil {
		(*wreck)(rw, r)
		return
	}
	began, tag := sinceStart(), o.tag(r.URL.Path)
	version := o.version(r.Host, tag, 0)
	if o.Render > 0 {
		time.Sleep(o.Render)
	}
	lifetime := "Cache-Control: max-age=600"
	if strings.HasPrefix(r.URL.Path, "/old-") {
		lifetime = "X-Odoo-Cache: public, ttl=100ms, sie=600"
	}
	kind := o.Kind
	if kind == "" {
		kind = "text/plain"
	}
	site.Page(o.print(r.Host, r.URL.Path, version, o.count.Add(1), began), lifetime, "Content-Type: "+kind, "Surrogate-Key: "+tag)(rw, r)
}

// print is a page. Each of its lines depends on whose it is.
func (o *Press) print(host, path string, version, render, began int64) string {
	line := host + path + "\n"
	return fmt.Sprintf("page of %s%s version %d render %d began %d\n", host, path, version, render, began) +
		strings.Repeat(line, o.Filler/len(line)) + "end\n"
}

// read tells whether a body is, to the last byte, a page of this host and path,
// and when its rendering began.
func (o *Press) read(host, path, body string) (began int64, ok bool) {
	var version, render int64
	_, err := fmt.Sscanf(body, "page of "+host+path+" version %d render %d began %d\n", &version, &render, &began)
	return began, err == nil && body == o.print(host, path, version, render, began)
}

// purgeBook knows which purges were acknowledged, and when.
type purgeBook struct {
	mu     sync.Mutex
	stamps map[string][]stamp // by host and tag or path, in the order of time
}

// stamp is one purge: when it was sent, and when its answer had come.
type stamp struct{ sent, acked int64 }

func (l *purgeBook) note(what string, s stamp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stamps == nil {
		l.stamps = map[string][]stamp{}
	}
	l.stamps[what] = append(l.stamps[what], s)
}

// outdated reports whether an answer to a request that started at a time has a
// rendering that began before a purge which had been acknowledged by then.
func (l *purgeBook) outdated(what string, started, began int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.stamps[what]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].acked < started {
			return list[i].sent > began
		}
	}
	return false
}

// Tally is what became of requests.
type Tally struct {
	Classes  map[string]int // how answers ended
	took     []time.Duration
	Keyed    int // requests for pages that had been asked for before
	Hits     int // of these
	Stale    int // requests for pages whose time was over
	StandIns int // of these, answered with a page
	Outdated int // from before a purge that was acknowledged
	Example  string

	Slowest time.Duration
	Slow    string // which that was, and its Cache-Status
}

// whole is the class of an answer that is the page that was asked for, broken of
// one that did not come or not to its end.
const (
	whole  = "page"
	broken = "no whole answer"
)

// Requests returns how many requests were counted.
func (f *Tally) Requests() int { return len(f.took) }

// Foreign returns how many answers were of no class among those allowed, and one
// such class. Those with status 200 are wrong, the others errors.
func (f *Tally) Foreign(allowed map[string]int) (errors, wrong int, example string) {
	for class, n := range f.Classes {
		if _, ok := allowed[class]; ok || class == whole {
			continue
		}
		if example = class; strings.HasPrefix(class, "200") {
			wrong += n
		} else {
			errors += n
		}
	}
	return errors, wrong, example
}

// Percentile of the times, in the sense of the nearest rank.
func (f *Tally) Percentile(p float64) time.Duration {
	if len(f.took) == 0 {
		return 0
	}
	sorted := append([]time.Duration{}, f.took...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	return sorted[int(p*float64(len(sorted)-1)+0.5)]
}

// Add counts what another tally has counted.
func (f *Tally) Add(g *Tally) {
	for class, n := range g.Classes {
		if f.Classes == nil {
			f.Classes = map[string]int{}
		}
		f.Classes[class] += n
	}
	f.took = append(f.took, g.took...)
	f.Keyed, f.Hits, f.Outdated = f.Keyed+g.Keyed, f.Hits+g.Hits, f.Outdated+g.Outdated
	f.Stale, f.StandIns = f.Stale+g.Stale, f.StandIns+g.StandIns
	if f.Example == "" {
		f.Example = g.Example
	}
	if g.Slowest > f.Slowest {
		f.Slowest, f.Slow = g.Slowest, g.Slow
	}
}

// Phase collects figures of a part of a run: through the cache, and past it.
type Phase struct {
	calm bool // nothing fails

	mu           sync.Mutex
	Cached, Bare Tally
}

// Keyed returns how many requests through the cache were for pages that had been
// asked for before.
func (f *Phase) Keyed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Cached.Keyed
}

// Shoppers are clients of several tenants, some of them past the cache, and
// somebody who purges.
type Shoppers struct {
	Traefik *stack.Traefik
	Press   *Press
	Hosts   []string // with the cache
	Bare    string   // without; empty: nobody goes past it
	Path    func(n int64) string
	Pause   time.Duration // of a client after an answer
	book    purgeBook

	Gate    sync.RWMutex // held for writing, it keeps the clients from asking
	Now     atomic.Pointer[Phase]
	N       atomic.Int64
	Purging atomic.Bool
	stop    chan struct{}
	wg      sync.WaitGroup

	Purged, Kept, Unpurged atomic.Int64 // purges by all means; answered with 503; failed otherwise
	Asked                  atomic.Int64 // purges by request
	WorstPurge             atomic.Int64 // ns
}

// shopperClient gives up where a person would have.
var shopperClient = &http.Client{
	Timeout:   15 * time.Second,
	Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
}

// UsualPath is what the clients ask for: mostly pages that are in the cache, some
// that go stale, some that nobody has asked for before.
func UsualPath(n int64) string {
	switch n % 10 {
	case 0:
		return fmt.Sprintf("/new-%d", n)
	case 1, 2:
		return fmt.Sprintf("/old-%d", rand.Intn(4))
	}
	return fmt.Sprintf("/page-%d", rand.Intn(20))
}

// Start sends so many clients through the cache, and so many past it.
func (c *Shoppers) Start(clients, bare int) {
	c.stop = make(chan struct{})
	c.Enter(true)
	run := func(f func()) {
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			for {
				c.Gate.RLock()
				f()
				c.Gate.RUnlock()
				select {
				case <-c.stop:
					return
				case <-time.After(c.Pause):
				}
			}
		}()
	}
	for i := 0; i < clients; i++ {
		run(func() {
			n := c.N.Add(1)
			c.visit(c.Hosts[rand.Intn(len(c.Hosts))], c.Path(n))
		})
	}
	for i := 0; i < bare; i++ {
		run(func() { c.visit(c.Bare, c.Path(c.N.Add(1))) })
	}
}

// Paced sends a steady number of requests in a second, through the cache and as
// many past it, whether answers come or not.
func (c *Shoppers) Paced(rate int) {
	c.stop = make(chan struct{})
	c.Enter(true)
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		tick := time.NewTicker(time.Second / time.Duration(2*rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			host := c.Bare
			if i%2 == 0 {
				host = c.Hosts[i/2%len(c.Hosts)]
			}
			c.wg.Add(1)
			go func(path string) {
				defer c.wg.Done()
				c.visit(host, path)
			}(c.Path(c.N.Add(1)))
			select {
			case <-c.stop:
				return
			case <-tick.C:
			}
		}
	}()
}

// End waits for the clients.
func (c *Shoppers) End() {
	close(c.stop)
	c.wg.Wait()
}

// Enter begins a phase. A request belongs to the one in which it started, but to
// a calm one only if it ended there, too.
func (c *Shoppers) Enter(calm bool) *Phase {
	f := &Phase{calm: calm}
	c.Now.Store(f)
	return f
}

// During lets the clients go on for a while as a phase of its own.
func (c *Shoppers) During(d time.Duration, calm bool) *Phase {
	f := c.Enter(calm)
	time.Sleep(d)
	return f
}

// visit asks for one page and writes down what came.
func (c *Shoppers) visit(host, path string) {
	into, started := c.Now.Load(), sinceStart()
	class, body, status := c.Ask(host, path)
	took := time.Duration(sinceStart() - started)
	f := &Tally{Classes: map[string]int{class: 1}, took: []time.Duration{took}, Slowest: took, Slow: host + path + ": " + status}
	if class == "200" {
		began, ok := c.Press.read(host, path, body)
		if class = whole; !ok {
			class = fmt.Sprintf("200, %d bytes, %08x", len(body), crc32.ChecksumIEEE([]byte(body)))
		}
		f.Classes = map[string]int{class: 1}
		if ok && (c.book.outdated(host+" "+c.Press.tag(path), started, began) || c.book.outdated(host+" "+path, started, began)) {
			f.Outdated = 1
			f.Example = fmt.Sprintf("%s%s: %s (its rendering began %v before it was asked for)", host, path, status, time.Duration(started-began))
		}
	}
	switch {
	case strings.HasPrefix(path, "/page-"):
		f.Keyed = 1
		if strings.Contains(status, "; hit") {
			f.Hits = 1
		}
	case strings.HasPrefix(path, "/old-"):
		f.Stale = 1
		if class == whole {
			f.StandIns = 1
		}
	}
	if into.calm {
		into = c.Now.Load()
	}
	into.mu.Lock()
	defer into.mu.Unlock()
	if host == c.Bare {
		into.Bare.Add(f)
		return
	}
	into.Cached.Add(f)
}

// Ask returns how an answer ended, its body if that was 200 and not large, and
// its Cache-Status.
func (c *Shoppers) Ask(host, path string) (class, body, status string) {
	r, err := http.NewRequest(http.MethodGet, c.Traefik.URL+path, nil)
	if err != nil {
		return err.Error(), "", ""
	}
	r.Host = host
	resp, err := shopperClient.Do(r)
	if err != nil {
		return broken, "", ""
	}
	defer resp.Body.Close()
	status = site.Reply{Header: resp.Header}.CacheStatus()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	sum := crc32.NewIEEE()
	more := int64(0)
	if err == nil {
		more, err = io.Copy(sum, resp.Body)
	}
	switch {
	case err != nil:
		return broken, "", status
	case resp.StatusCode != http.StatusOK:
		return "status " + strconv.Itoa(resp.StatusCode), "", status
	case more > 0:
		return fmt.Sprintf("200, %d bytes, %08x", int64(len(b))+more, sum.Sum32()), "", status
	}
	return "200", string(b), status
}

// purgeNow purges one thing: by a header of the origin, by a request that names
// a tag, or by one that names a page, in turns.
func (c *Shoppers) purgeNow(i int64) {
	host := c.Hosts[i%int64(len(c.Hosts))]
	path := "/page-" + strconv.FormatInt(i%20, 10)
	tag := c.Press.tag(path)
	what := host + " " + tag
	s := stamp{sent: sinceStart()}
	var r site.Reply
	var err error
	header := site.Fields("Host: "+host, site.Bearer)
	switch i / int64(len(c.Hosts)) % 3 {
	case 0:
		r, err = site.Send(http.MethodPost, c.Traefik.URL+"/write?tag="+tag, "x", header)
	case 1:
		r, err = site.Send(http.MethodPost, c.Traefik.URL+"/.odoocache/purge", `{"tags":["`+tag+`"]}`, header)
		c.Asked.Add(1)
	case 2:
		r, err = site.Send("PURGE", c.Traefik.URL+path, "", header)
		what = host + " " + path
		c.Asked.Add(1)
	}
	s.acked = sinceStart()
	if took := s.acked - s.sent; took > c.WorstPurge.Load() {
		c.WorstPurge.Store(took)
	}
	c.Purged.Add(1)
	switch {
	case err == nil && r.Status == http.StatusServiceUnavailable: // kept: it has to hold all the same
		c.Kept.Add(1)
	case err != nil || r.Status != http.StatusOK:
		c.Unpurged.Add(1)
		return
	}
	c.book.note(what, s)
}

// PurgeEvery purges again and again while purging is set.
func (c *Shoppers) PurgeEvery(pause time.Duration) {
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		for i := int64(0); ; {
			if c.Purging.Load() {
				c.purgeNow(i)
				i++
			}
			select {
			case <-c.stop:
				return
			case <-time.After(pause):
			}
		}
	}()
}

// Windows is into how many parts of a run its times are put: what else a machine
// does comes in bursts, and the median of the parts is that of a quiet one.
const Windows = 12

// window returns the times of a part of a run, in the order in which they came.
func (f *Tally) window(i int) *Tally {
	n := len(f.took) / Windows
	return &Tally{took: f.took[i*n : (i+1)*n]}
}

// AddedIn returns by how much a percentile is higher with the cache than without,
// and by how much it differs without between four parts of the requests taken in
// turns: the medians of all windows.
func (f *Phase) AddedIn(percentile float64) (added, noise time.Duration) {
	differences, spreads := &Tally{}, &Tally{}
	for i := 0; i < Windows; i++ {
		bare := f.Bare.window(i)
		differences.took = append(differences.took, f.Cached.window(i).Percentile(percentile)-bare.Percentile(percentile))
		var parts [4]Tally
		for j, took := range bare.took {
			parts[j%4].took = append(parts[j%4].took, took)
		}
		each := &Tally{}
		for j := range parts {
			each.took = append(each.took, parts[j].Percentile(percentile))
		}
		spreads.took = append(spreads.took, each.Percentile(1)-each.Percentile(0))
	}
	return differences.Percentile(0.5), spreads.Percentile(0.5)
}

// BareHost is the host name of requests that go past the cache.
const BareHost = "bare.example"

// Warm asks for every page that the clients ask for again.
func (c *Shoppers) Warm() {
	for _, host := range c.Hosts {
		for n := 0; n < 20; n++ {
			c.Ask(host, fmt.Sprintf("/page-%d", n))
			c.Ask(host, fmt.Sprintf("/old-%d", n%4))
		}
	}
}

// Hit reports whether every tenant gets a page from the cache again.
func (c *Shoppers) Hit() bool {
	for _, host := range c.Hosts {
		if _, _, status := c.Ask(host, "/page-0"); !strings.Contains(status, "; hit") {
			return false
		}
	}
	return true
}

// Ratio returns a part of a number, 0 if there is nothing.
func Ratio(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}
