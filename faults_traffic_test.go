package odoocache_test

import (
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// press is an origin whose every page tells whose it is, which render of it this
// is, and when that began. A POST makes a new version of all pages with a tag,
// and purges them.
type press struct {
	backend *backend

	groups int64         // the pages of a tenant bear so many tags
	render time.Duration // of a page
	filler int           // bytes of a page, about
	kind   string        // its Content-Type, if it is not text, which would be stored in gzip

	count atomic.Int64
	wreck atomic.Pointer[http.HandlerFunc] // what becomes of pages

	mu       sync.Mutex
	versions map[string]int64 // by host and tag
}

var processStart = time.Now()

// sinceStart is a time in ns that origin and clients have in common.
func sinceStart() int64 {
	return int64(time.Since(processStart))
}

func (o *press) url() string { return o.backend.URL }

func (o *press) tag(path string) string {
	n, _ := strconv.ParseInt(path[strings.LastIndexByte(path, '-')+1:], 10, 64)
	return "group-" + strconv.FormatInt(n%o.groups, 10)
}

func (o *press) version(host, tag string, more int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.versions == nil {
		o.versions = map[string]int64{}
	}
	o.versions[host+tag] += more
	return o.versions[host+tag]
}

func (o *press) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		tag := r.URL.Query().Get("tag")
		page(strconv.FormatInt(o.version(r.Host, tag, 1), 10), "X-Odoo-Purge: "+tag)(rw, r)
		return
	}
	if wreck := o.wreck.Load(); wreck != nil {
		(*wreck)(rw, r)
		return
	}
	began, tag := sinceStart(), o.tag(r.URL.Path)
	version := o.version(r.Host, tag, 0)
	if o.render > 0 {
		time.Sleep(o.render)
	}
	lifetime := "Cache-Control: max-age=600"
	if strings.HasPrefix(r.URL.Path, "/old-") {
		lifetime = "X-Odoo-Cache: public, ttl=100ms, sie=600"
	}
	kind := o.kind
	if kind == "" {
		kind = "text/plain"
	}
	page(o.print(r.Host, r.URL.Path, version, o.count.Add(1), began), lifetime, "Content-Type: "+kind, "Surrogate-Key: "+tag)(rw, r)
}

// print is a page. Each of its lines depends on whose it is.
func (o *press) print(host, path string, version, render, began int64) string {
	line := host + path + "\n"
	return fmt.Sprintf("page of %s%s version %d render %d began %d\n", host, path, version, render, began) +
		strings.Repeat(line, o.filler/len(line)) + "end\n"
}

// read tells whether a body is, to the last byte, a page of this host and path,
// and when its rendering began.
func (o *press) read(host, path, body string) (began int64, ok bool) {
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

// tally is what became of requests.
type tally struct {
	classes  map[string]int // how answers ended
	took     []time.Duration
	keyed    int // requests for pages that had been asked for before
	hits     int // of these
	stale    int // requests for pages whose time was over
	standIns int // of these, answered with a page
	outdated int // from before a purge that was acknowledged
	example  string

	slowest time.Duration
	slow    string // which that was, and its Cache-Status
}

// whole is the class of an answer that is the page that was asked for, broken of
// one that did not come or not to its end.
const (
	whole  = "page"
	broken = "no whole answer"
)

func (f *tally) requests() int { return len(f.took) }

// foreign returns how many answers were of no class among those allowed, and one
// such class. Those with status 200 are wrong, the others errors.
func (f *tally) foreign(allowed map[string]int) (errors, wrong int, example string) {
	for class, n := range f.classes {
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

// percentile of the times, in the sense of the nearest rank.
func (f *tally) percentile(p float64) time.Duration {
	if len(f.took) == 0 {
		return 0
	}
	sorted := append([]time.Duration{}, f.took...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	return sorted[int(p*float64(len(sorted)-1)+0.5)]
}

func (f *tally) add(g *tally) {
	for class, n := range g.classes {
		if f.classes == nil {
			f.classes = map[string]int{}
		}
		f.classes[class] += n
	}
	f.took = append(f.took, g.took...)
	f.keyed, f.hits, f.outdated = f.keyed+g.keyed, f.hits+g.hits, f.outdated+g.outdated
	f.stale, f.standIns = f.stale+g.stale, f.standIns+g.standIns
	if f.example == "" {
		f.example = g.example
	}
	if g.slowest > f.slowest {
		f.slowest, f.slow = g.slowest, g.slow
	}
}

// phase collects figures of a part of a run: through the cache, and past it.
type phase struct {
	calm bool // nothing fails

	mu           sync.Mutex
	cached, bare tally
}

// keyed returns how many requests through the cache were for pages that had been
// asked for before.
func (f *phase) keyed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cached.keyed
}

// shoppers are clients of several tenants, some of them past the cache, and
// somebody who purges.
type shoppers struct {
	p     *traefik
	press *press
	hosts []string // with the cache
	bare  string   // without; empty: nobody goes past it
	path  func(n int64) string
	pause time.Duration // of a client after an answer
	book  purgeBook

	gate    sync.RWMutex // held for writing, it keeps the clients from asking
	now     atomic.Pointer[phase]
	n       atomic.Int64
	purging atomic.Bool
	stop    chan struct{}
	wg      sync.WaitGroup

	purged, kept, unpurged atomic.Int64 // purges by all means; answered with 503; failed otherwise
	asked                  atomic.Int64 // purges by request
	worstPurge             atomic.Int64 // ns
}

// shopperClient gives up where a person would have.
var shopperClient = &http.Client{
	Timeout:   15 * time.Second,
	Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
}

// usualPath is what the clients ask for: mostly pages that are in the cache, some
// that go stale, some that nobody has asked for before.
func usualPath(n int64) string {
	switch n % 10 {
	case 0:
		return fmt.Sprintf("/new-%d", n)
	case 1, 2:
		return fmt.Sprintf("/old-%d", rand.Intn(4))
	}
	return fmt.Sprintf("/page-%d", rand.Intn(20))
}

// start sends so many clients through the cache, and so many past it.
func (c *shoppers) start(clients, bare int) {
	c.stop = make(chan struct{})
	c.enter(true)
	run := func(f func()) {
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			for {
				c.gate.RLock()
				f()
				c.gate.RUnlock()
				select {
				case <-c.stop:
					return
				case <-time.After(c.pause):
				}
			}
		}()
	}
	for i := 0; i < clients; i++ {
		run(func() {
			n := c.n.Add(1)
			c.visit(c.hosts[rand.Intn(len(c.hosts))], c.path(n))
		})
	}
	for i := 0; i < bare; i++ {
		run(func() { c.visit(c.bare, c.path(c.n.Add(1))) })
	}
}

// paced sends a steady number of requests in a second, through the cache and as
// many past it, whether answers come or not.
func (c *shoppers) paced(rate int) {
	c.stop = make(chan struct{})
	c.enter(true)
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		tick := time.NewTicker(time.Second / time.Duration(2*rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			host := c.bare
			if i%2 == 0 {
				host = c.hosts[i/2%len(c.hosts)]
			}
			c.wg.Add(1)
			go func(path string) {
				defer c.wg.Done()
				c.visit(host, path)
			}(c.path(c.n.Add(1)))
			select {
			case <-c.stop:
				return
			case <-tick.C:
			}
		}
	}()
}

// end waits for the clients.
func (c *shoppers) end() {
	close(c.stop)
	c.wg.Wait()
}

// enter begins a phase. A request belongs to the one in which it started, but to
// a calm one only if it ended there, too.
func (c *shoppers) enter(calm bool) *phase {
	f := &phase{calm: calm}
	c.now.Store(f)
	return f
}

// during lets the clients go on for a while as a phase of its own.
func (c *shoppers) during(d time.Duration, calm bool) *phase {
	f := c.enter(calm)
	time.Sleep(d)
	return f
}

// visit asks for one page and writes down what came.
func (c *shoppers) visit(host, path string) {
	into, started := c.now.Load(), sinceStart()
	class, body, status := c.ask(host, path)
	took := time.Duration(sinceStart() - started)
	f := &tally{classes: map[string]int{class: 1}, took: []time.Duration{took}, slowest: took, slow: host + path + ": " + status}
	if class == "200" {
		began, ok := c.press.read(host, path, body)
		if class = whole; !ok {
			class = fmt.Sprintf("200, %d bytes, %08x", len(body), crc32.ChecksumIEEE([]byte(body)))
		}
		f.classes = map[string]int{class: 1}
		if ok && (c.book.outdated(host+" "+c.press.tag(path), started, began) || c.book.outdated(host+" "+path, started, began)) {
			f.outdated = 1
			f.example = fmt.Sprintf("%s%s: %s (its rendering began %v before it was asked for)", host, path, status, time.Duration(started-began))
		}
	}
	switch {
	case strings.HasPrefix(path, "/page-"):
		f.keyed = 1
		if strings.Contains(status, "; hit") {
			f.hits = 1
		}
	case strings.HasPrefix(path, "/old-"):
		f.stale = 1
		if class == whole {
			f.standIns = 1
		}
	}
	if into.calm {
		into = c.now.Load()
	}
	into.mu.Lock()
	defer into.mu.Unlock()
	if host == c.bare {
		into.bare.add(f)
		return
	}
	into.cached.add(f)
}

// ask returns how an answer ended, its body if that was 200 and not large, and
// its Cache-Status.
func (c *shoppers) ask(host, path string) (class, body, status string) {
	r, err := http.NewRequest(http.MethodGet, c.p.url+path, nil)
	if err != nil {
		return err.Error(), "", ""
	}
	r.Host = host
	resp, err := shopperClient.Do(r)
	if err != nil {
		return broken, "", ""
	}
	defer resp.Body.Close()
	status = reply{header: resp.Header}.cacheStatus()
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
func (c *shoppers) purgeNow(i int64) {
	host := c.hosts[i%int64(len(c.hosts))]
	path := "/page-" + strconv.FormatInt(i%20, 10)
	tag := c.press.tag(path)
	what := host + " " + tag
	s := stamp{sent: sinceStart()}
	var r reply
	var err error
	header := fields("Host: "+host, bearer)
	switch i / int64(len(c.hosts)) % 3 {
	case 0:
		r, err = send(http.MethodPost, c.p.url+"/write?tag="+tag, "x", header)
	case 1:
		r, err = send(http.MethodPost, c.p.url+"/.odoocache/purge", `{"tags":["`+tag+`"]}`, header)
		c.asked.Add(1)
	case 2:
		r, err = send("PURGE", c.p.url+path, "", header)
		what = host + " " + path
		c.asked.Add(1)
	}
	s.acked = sinceStart()
	if took := s.acked - s.sent; took > c.worstPurge.Load() {
		c.worstPurge.Store(took)
	}
	c.purged.Add(1)
	switch {
	case err == nil && r.status == http.StatusServiceUnavailable: // kept: it has to hold all the same
		c.kept.Add(1)
	case err != nil || r.status != http.StatusOK:
		c.unpurged.Add(1)
		return
	}
	c.book.note(what, s)
}

// purgeEvery purges again and again while purging is set.
func (c *shoppers) purgeEvery(pause time.Duration) {
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		for i := int64(0); ; {
			if c.purging.Load() {
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

// fromEnv is a number from the environment, or what is taken without one.
func fromEnv(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// windows is into how many parts of a run its times are put: what else a machine
// does comes in bursts, and the median of the parts is that of a quiet one.
const windows = 12

// window returns the times of a part of a run, in the order in which they came.
func (f *tally) window(i int) *tally {
	n := len(f.took) / windows
	return &tally{took: f.took[i*n : (i+1)*n]}
}

// addedIn returns by how much a percentile is higher with the cache than without,
// and by how much it differs without between four parts of the requests taken in
// turns: the medians of all windows.
func (f *phase) addedIn(percentile float64) (added, noise time.Duration) {
	differences, spreads := &tally{}, &tally{}
	for i := 0; i < windows; i++ {
		bare := f.bare.window(i)
		differences.took = append(differences.took, f.cached.window(i).percentile(percentile)-bare.percentile(percentile))
		var parts [4]tally
		for j, took := range bare.took {
			parts[j%4].took = append(parts[j%4].took, took)
		}
		each := &tally{}
		for j := range parts {
			each.took = append(each.took, parts[j].percentile(percentile))
		}
		spreads.took = append(spreads.took, each.percentile(1)-each.percentile(0))
	}
	return differences.percentile(0.5), spreads.percentile(0.5)
}

const bareHost = "bare.example"

// warm asks for every page that the clients ask for again.
func (c *shoppers) warm() {
	for _, host := range c.hosts {
		for n := 0; n < 20; n++ {
			c.ask(host, fmt.Sprintf("/page-%d", n))
			c.ask(host, fmt.Sprintf("/old-%d", n%4))
		}
	}
}

// hit reports whether every tenant gets a page from the cache again.
func (c *shoppers) hit() bool {
	for _, host := range c.hosts {
		if _, _, status := c.ask(host, "/page-0"); !strings.Contains(status, "; hit") {
			return false
		}
	}
	return true
}

func ratio(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}
