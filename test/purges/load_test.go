package purges_test

import (
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// The load of the purge checker: readers, writers and an origin, around two
// Traefik processes and one Redis server.

const (
	purgeStaleness = time.Second // memory.maxStaleness, its default
	sheets         = 24          // pages of a tenant
	sheetTags      = 400         // different tags of a tenant's pages
	longLife       = 600         // s
	collapseWait   = time.Second // limits.coalesceWait
)

// sheet is a page of the origin.
type sheet struct {
	tenant  string
	path    string
	address string // with its query
	tags    []string
	render  time.Duration // at most
	life    int           // max-age in s
	chunked bool          // its length is not known, and its head leaves before it is rendered
	varies  bool          // it has two variants

	purges [2][]*history // of its address without and with a memory tier
}

// hostOf is the host name of a tenant's cache: one for each kind, so that each has
// a middleware of its own.
func hostOf(tenant string, cache int) string {
	if remembers(cache) {
		return tenant + ".example"
	}
	return tenant + "-direct.example"
}

// newSheet returns page i of a tenant: pages differ in all that could matter.
func newSheet(r *rand.Rand, tenant string, i int) *sheet {
	s := &sheet{
		tenant: tenant, path: fmt.Sprintf("/g%d/p%d", i%4, i), tags: []string{fmt.Sprintf("p%d", i)},
		life: longLife, chunked: i%4 == 1, varies: i%7 == 3,
	}
	s.address = s.path
	if i%6 == 5 {
		s.address += "?page=2"
	}
	for n := []int{1, 2, 5, 10, 20, 50, 100, 200}[i%8]; len(s.tags) < n; {
		if tag := fmt.Sprintf("t%d", r.Intn(sheetTags)); !site.Contains(s.tags, tag) {
			s.tags = append(s.tags, tag)
		}
	}
	if i%5 == 4 {
		s.life = 1
	}
	s.render = []time.Duration{500 * time.Millisecond, 50 * time.Millisecond, 0}[i%3]
	return s
}

// tied finds the histories of everything that can purge the page.
func (s *sheet) tied(l *ledger) *sheet {
	for kind := range s.purges {
		where := "//" + hostOf(s.tenant, kind)
		prefix := s.path[:strings.LastIndexByte(s.path, '/')+1]
		things := []string{"everything", "address " + s.path, "address " + where + s.path, "prefix " + prefix, "prefix " + where + prefix}
		if s.address != s.path {
			things = append(things, "address "+s.address, "address "+where+s.address)
		}
		for _, tag := range s.tags {
			things = append(things, "tag "+tag)
		}
		s.purges[kind] = l.of(inTenant(s.tenant, things))
	}
	return s
}

func inTenant(tenant string, things []string) []string {
	list := make([]string, 0, len(things))
	for _, thing := range things {
		list = append(list, tenant+" "+thing)
	}
	return list
}

// purgeLoad is the load, and what it runs against.
type purgeLoad struct {
	t       *testing.T
	*ledger // of what was told
	redis   *stack.RedisServer
	replica [2]*stack.Traefik
	sheets  map[string][]*sheet // by tenant
	byName  map[string]*sheet   // tenant and address
	version map[string]*atomic.Int64
	probes  [caches]chan *sheet
	done    chan struct{}
	end     sync.Once // closes done
	workers sync.WaitGroup

	softly  atomic.Int64 // of 100 purges, how many are soft
	single  atomic.Bool  // only the first tenant is purged
	writing sync.RWMutex // held for reading by each purge
	faulty  atomic.Bool  // purges may not reach Redis at once
	renders atomic.Int64
	orders  atomic.Int64
	stall   atomic.Int64 // ns: longest time that this program was not run

	mu      sync.Mutex
	noted   map[string]*purgeNote           // on their way through the origin
	waiting [caches]map[string][]*purgeNote // by tenant: perhaps not in Redis yet
	random  *rand.Rand                      // seeds of the workers
}

// shops are the tenants that are read and purged at random; their pages have the
// same addresses and tags. quietShop has one page that is purged seldom: there a
// replica hears of nothing unless it asks.
var (
	shops     = []string{"one", "two"}
	quietShop = "quiet"
)

// startPurgeLoad starts the processes and the load. edit changes the plugin, if it
// is not nil.
func startPurgeLoad(t *testing.T, seed int64, edit func(dir string)) *purgeLoad {
	t.Helper()
	begun := time.Now()
	c := &purgeLoad{
		t: t, ledger: newLedger(func() moment { return moment(time.Since(begun)) }, purgeStaleness),
		sheets: map[string][]*sheet{}, byName: map[string]*sheet{}, version: map[string]*atomic.Int64{},
		done: make(chan struct{}), noted: map[string]*purgeNote{}, random: rand.New(rand.NewSource(seed)),
	}
	for i := range c.probes {
		c.probes[i] = make(chan *sheet, 64)
		c.waiting[i] = map[string][]*purgeNote{}
	}
	for _, tenant := range []string{shops[0], shops[1], quietShop} {
		c.version[tenant] = &atomic.Int64{}
		same := rand.New(rand.NewSource(seed))
		for i := 0; i < sheets && (i == 0 || tenant != quietShop); i++ {
			s := newSheet(same, tenant, i)
			if tenant == quietShop {
				s.render = 0
			}
			c.sheets[tenant] = append(c.sheets[tenant], s.tied(c.ledger))
			c.byName[tenant+s.address] = s
		}
	}
	// A user for each replica: that is how one is cut off.
	args := []string{"--appendonly", "no"}
	for _, user := range replicaUsers {
		args = append(args, "--user", user, "on", ">"+site.Secret[:7], "~*", "+@all")
	}
	c.redis = stack.StartRedis(t, args...)
	origin := stack.NewBackend(t, c.answer)
	for i, user := range replicaUsers {
		c.replica[i] = stack.StartEdited(t, edit, stack.Routed(origin.URL, c.middlewares(user)))
	}
	t.Cleanup(func() {
		c.end.Do(func() { close(c.done) })
		for _, p := range c.replica {
			p.Stop() // may be stopped by a signal, with requests in it
		}
		c.workers.Wait()
	})
	c.run()
	return c
}

var replicaUsers = [2]string{"first", "second"}

func (c *purgeLoad) middlewares(user string) map[string]site.Options {
	hosts := map[string]site.Options{}
	for tenant := range c.sheets {
		for cache := 0; cache < ofReplica; cache++ {
			o := site.Options{
				"tenant": tenant,
				"purge":  site.Options{"secret": site.Secret, "maxMarks": "1000"},
				"limits": site.Options{"coalesceWait": collapseWait.String()},
				"quota":  site.Options{"purges": "0"},
				"redis": site.Options{
					"address": c.redis.Address, "username": user, "password": site.Secret[:7], "timeout": "2s", "dialTimeout": "2s",
				},
				"memory": site.Options{"maxStaleness": purgeStaleness.String()},
			}
			if !remembers(cache) {
				o["memory"] = site.Options{"bytes": "0"}
			} else if tenant != quietShop {
				o["rewarm"] = "3"
			}
			hosts[hostOf(tenant, cache)] = o
		}
	}
	return hosts
}

// run starts the workers.
func (c *purgeLoad) run() {
	work := func(f func(r *rand.Rand)) {
		r := rand.New(rand.NewSource(c.random.Int63()))
		c.workers.Add(1)
		go func() {
			defer c.workers.Done()
			f(r)
		}()
	}
	for i := 0; i < caches; i++ {
		cache := i
		for n := 0; n < 2; n++ {
			work(func(r *rand.Rand) { c.read(r, cache) })
		}
		work(func(r *rand.Rand) { c.probe(r, cache) })
		work(func(r *rand.Rand) { c.write(r, cache) })
		work(func(*rand.Rand) { c.follow(cache) })
		if remembers(cache) {
			work(func(r *rand.Rand) { c.readQuietly(r, cache) })
		}
	}
	work(c.writeQuietly)
	work(func(*rand.Rand) { c.watch() })
}

// watch measures for how long this program was kept from running: nothing that takes
// time holds then.
func (c *purgeLoad) watch() {
	const tick = 10 * time.Millisecond
	for before := time.Now(); c.pause(tick); before = time.Now() {
		if late := int64(time.Since(before) - tick); late > c.stall.Load() {
			c.stall.Store(late)
		}
	}
}

// stop ends the load and the processes, which are no use after it.
func (c *purgeLoad) stop() {
	c.end.Do(func() { close(c.done) })
	c.workers.Wait()
	for _, p := range c.replica {
		p.Stop()
	}
	c.redis.Stop()
}

// pause waits, and reports false if the load is over.
func (c *purgeLoad) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.done:
		return false
	case <-timer.C:
		return true
	}
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int63n(int64(most-least)))
}

// answer is the origin.
func (c *purgeLoad) answer(rw http.ResponseWriter, r *http.Request) {
	began := c.clock()
	tenant, _, _ := strings.Cut(strings.TrimSuffix(r.Host, ".example"), "-")
	version := c.version[tenant]
	if version == nil {
		http.NotFound(rw, r)
		return
	}
	if r.Method != http.MethodGet {
		c.change(rw, r, version)
		return
	}
	s := c.byName[tenant+r.URL.RequestURI()]
	if s == nil {
		http.NotFound(rw, r)
		return
	}
	flavour := ""
	header := rw.Header()
	header.Set("Cache-Control", fmt.Sprintf("max-age=%d, stale-while-revalidate=%d", s.life, longLife))
	header.Set("Surrogate-Key", strings.Join(s.tags, " "))
	if s.varies {
		header.Set("Vary", "X-Flavour")
		flavour = r.Header.Get("X-Flavour")
	}
	id := c.renders.Add(1)
	head := fmt.Sprintf("%s %s %q %d %d %d\n", tenant, s.address, flavour, version.Load(), began, id)
	if s.chunked {
		_, _ = io.WriteString(rw, head)
		_ = http.NewResponseController(rw).Flush()
	}
	if s.render > 0 {
		time.Sleep(time.Duration(rand.Int63n(int64(s.render)))) // the rendering
	}
	ended := c.clock()
	rest := strings.Repeat(fmt.Sprintln("text of", s.address), int(id%200)) + fmt.Sprintln(int64(ended))
	c.rendered(s.purges[0], began, ended)
	if s.chunked {
		_, _ = io.WriteString(rw, rest)
		return
	}
	site.Page(head+rest)(rw, r)
}

// change is the origin's answer to a change. What it purges the request has said.
func (c *purgeLoad) change(rw http.ResponseWriter, r *http.Request, version *atomic.Int64) {
	if order := r.Header.Get("X-Order"); order != "" {
		rw.Header().Set("X-Odoo-Purge", order)
	}
	c.mu.Lock()
	if p := c.noted[r.Header.Get("X-Note")]; p != nil {
		p.version = version.Add(1)
		p.sent = c.clock()
	}
	c.mu.Unlock()
	site.Page("changed")(rw, r)
}

// flavours are what pages with Vary vary by.
var flavours = [2]string{"sweet", "sour"}

// get asks a cache for a page and judges the answer.
func (c *purgeLoad) get(cache int, s *sheet, flavour string) (rendering, string) {
	a := &told{
		cache: cache, address: "//" + hostOf(s.tenant, cache) + s.address, purges: s.purges[cache&noMemory], asked: c.clock(),
	}
	got, err := site.Send(http.MethodGet, c.replica[cache/ofReplica].URL+s.address, "", site.Fields("Host: "+hostOf(s.tenant, cache), "X-Flavour: "+flavour))
	if err != nil {
		c.fail(a, "is an error: "+err.Error())
		return a.body, ""
	}
	if !s.varies {
		flavour = ""
	}
	a.status = got.CacheStatus()
	if a.body, err = parseRendering(got, fmt.Sprintf("%s %s %q ", s.tenant, s.address, flavour)); err != nil {
		c.fail(a, "is not that page: "+err.Error())
		return a.body, a.status
	}
	c.judge(a)
	return a.body, a.status
}

// parseRendering reads what the origin wrote into the body of a page.
func parseRendering(got site.Reply, identity string) (b rendering, err error) {
	head, _, _ := strings.Cut(got.Body, "\n")
	figures, found := strings.CutPrefix(head, identity)
	lines := strings.Split(strings.TrimSuffix(got.Body, "\n"), "\n")
	if got.Status != http.StatusOK || !found {
		return b, fmt.Errorf("status %d, %q instead of %q", got.Status, head, identity)
	}
	if _, err = fmt.Sscanf(figures, "%d %d %d", &b.version, &b.began, &b.id); err != nil {
		return b, err
	}
	ended, err := strconv.ParseInt(lines[len(lines)-1], 10, 64)
	b.ended = moment(ended)
	return b, err
}

func (c *purgeLoad) anySheet(r *rand.Rand) *sheet {
	list := c.sheets[shops[r.Intn(len(shops))]]
	return list[r.Intn(len(list))]
}

func (c *purgeLoad) read(r *rand.Rand, cache int) {
	for c.pause(between(r, 0, 4*time.Millisecond)) {
		c.get(cache, c.anySheet(r), flavours[r.Intn(2)])
	}
}

func (c *purgeLoad) readQuietly(r *rand.Rand, cache int) {
	for c.pause(between(r, 0, 20*time.Millisecond)) {
		c.get(cache, c.sheets[quietShop][0], flavours[0])
	}
}

// writeQuietly purges the quiet tenant so seldom that its pages grow older than
// maxStaleness in between, through either replica, and mostly softly: then a copy
// lasts until it is refreshed.
func (c *purgeLoad) writeQuietly(r *rand.Rand) {
	for i := 0; c.pause(between(r, 2*purgeStaleness, 3*purgeStaleness)); i++ {
		s := c.sheets[quietShop][0]
		c.purge((i+i/4)%2*ofReplica, quietShop, i%4 < 3, &purgeOrder{kind: "tag", things: []string{"tag " + s.tags[0]}, header: s.tags[0]})
	}
}

// probe reads pages that have just been purged.
func (c *purgeLoad) probe(r *rand.Rand, cache int) {
	for {
		select {
		case <-c.done:
			return
		case s := <-c.probes[cache]:
			c.get(cache, s, flavours[r.Intn(2)])
		}
	}
}

// purgeOrder is one purge, in the forms in which it can be sent.
type purgeOrder struct {
	kind   string
	things []string // what the ledger calls what it purges
	header string   // as the header of a response or request
	json   string   // as the body of a request
	path   string   // as a PURGE of this address, or a POST to it
	method string   // of that; empty: a header or body is sent
}

// order makes up a purge that makes a page wrong, among others.
func (c *purgeLoad) order(r *rand.Rand, cache int, s *sheet) *purgeOrder {
	where := "//" + hostOf(s.tenant, cache)
	prefix := s.path[:strings.LastIndexByte(s.path, '/')+1]
	switch n := r.Intn(100); {
	case n < 35:
		return tagOrder(s.tags[0])
	case n < 50:
		return tagOrder(s.tags[r.Intn(len(s.tags))])
	case n < 60: // a tag of the page among others, at any place
		tags := make([]string, 0, 200)
		for most := 1 + r.Intn(199); len(tags) < most; {
			tags = append(tags, fmt.Sprintf("n%d", r.Intn(100000)))
		}
		tags = append(tags, s.tags[r.Intn(len(s.tags))])
		tags[0], tags[len(tags)-1] = tags[len(tags)-1], tags[0]
		return tagOrder(tags...)
	case n < 67:
		return &purgeOrder{kind: "path", things: []string{"address " + s.path}, header: s.path, json: `{"paths":["` + s.path + `"]}`}
	case n < 74:
		return &purgeOrder{kind: "path", things: []string{"address " + where + s.address}, header: where + s.address, json: `{"paths":["` + where + s.address + `"]}`}
	case n < 81:
		return &purgeOrder{kind: "PURGE", things: []string{"address " + where + s.address}, path: s.address, method: "PURGE"}
	case n < 92:
		return &purgeOrder{kind: "unsafe method", things: []string{"address " + where + s.address}, path: s.address, method: http.MethodPost}
	case n < 95:
		return &purgeOrder{kind: "prefix", things: []string{"prefix " + prefix}, header: prefix + "*", json: `{"prefixes":["` + prefix + `"]}`}
	case n < 98:
		return &purgeOrder{kind: "prefix", things: []string{"prefix " + where + prefix}, header: where + prefix + "*", json: `{"prefixes":["` + where + prefix + `"]}`}
	}
	return &purgeOrder{kind: "tenant", things: []string{"everything"}, header: "*", json: `{"all":true}`}
}

func tagOrder(tags ...string) *purgeOrder {
	o := &purgeOrder{kind: "tag", header: strings.Join(tags, ", "), json: `{"tags":["` + strings.Join(tags, `","`) + `"]}`}
	if len(tags) > 1 {
		o.kind = "tags"
	}
	for _, tag := range tags {
		o.things = append(o.things, "tag "+tag)
	}
	return o
}

// write changes pages and purges them through one cache, and has all caches asked
// for them at once.
func (c *purgeLoad) write(r *rand.Rand, cache int) {
	for c.pause(between(r, 20*time.Millisecond, 160*time.Millisecond)) {
		c.writing.RLock()
		s := c.anySheet(r)
		if c.single.Load() {
			s = c.byName[shops[0]+s.address]
		}
		o := c.order(r, cache, s)
		form := r.Intn(3)
		soft := r.Int63n(100) < c.softly.Load() && o.method != http.MethodPost
		done := c.purge(cache, s.tenant, soft, o.as(form))
		c.writing.RUnlock()
		for i := 0; done && i < caches; i++ {
			select {
			case c.probes[i] <- s:
			default: // enough to do, or stopped
			}
		}
	}
}

// as keeps one of the forms of an order: the header of a response, of a request, or
// the body of one.
func (o *purgeOrder) as(form int) *purgeOrder {
	switch {
	case o.method != "":
	case form == 0:
		o.json = ""
		o.kind += ", response"
	case form == 1:
		o.json = ""
		o.path, o.method = "/.odoocache/purge", http.MethodPost
		o.kind += ", request"
	default:
		o.header = ""
		o.path, o.method = "/.odoocache/purge", "PURGE"
		o.kind += ", request"
	}
	return o
}

// purge sends a purge and enters it if it was acknowledged.
func (c *purgeLoad) purge(cache int, tenant string, soft bool, o *purgeOrder) bool {
	p := &purgeNote{what: fmt.Sprintf("%s %s and %d more (%s)", tenant, o.things[0], len(o.things)-1, o.kind), soft: soft, at: cache, removal: o.kind == "unsafe method"}
	doubtful := c.faulty.Load()
	lines := []string{"Host: " + hostOf(tenant, cache)}
	kind := o.kind
	if soft {
		kind = "soft " + kind
		if o.header != "" {
			o.header = "stale " + o.header
		}
		if o.json != "" {
			o.json = strings.Replace(o.json, "{", `{"soft":true,`, 1)
		}
		lines = append(lines, "X-Odoocache-Purge-Mode: soft")
	}
	method, path, byOrigin := o.method, o.path, o.method == "" || o.method == http.MethodPost && o.path != "/.odoocache/purge"
	if byOrigin {
		id := strconv.FormatInt(c.orders.Add(1), 10)
		lines = append(lines, "X-Note: "+id)
		c.note(id, p)
		defer c.note(id, nil)
		if o.header != "" {
			method, path = http.MethodPost, "/-/write"
			lines = append(lines, "X-Order: "+o.header)
		}
	} else {
		lines = append(lines, site.Bearer)
		if o.header != "" {
			lines = append(lines, "X-Odoo-Purge: "+o.header)
		}
		p.version = c.version[tenant].Add(1)
		p.sent = c.clock()
	}
	got, err := site.Send(method, c.replica[cache/ofReplica].URL+path, o.json, site.Fields(lines...))
	if err == nil && got.Status == http.StatusServiceUnavailable && !byOrigin && c.faulty.Load() {
		c.refuse() // as it has to be
		return false
	}
	if err != nil || got.Status != http.StatusOK {
		c.fail(&told{cache: cache, address: "//" + hostOf(tenant, cache) + path, asked: p.sent}, fmt.Sprintf("is no answer to %s: %d %s %v", method, got.Status, got.Body, err))
		return false
	}
	c.enter(p, tenant, o, kind, byOrigin && (doubtful || c.faulty.Load()))
	return true
}

func (c *purgeLoad) note(id string, p *purgeNote) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p == nil {
		delete(c.noted, id)
		return
	}
	c.noted[id] = p
}

// enter puts an acknowledged purge into the ledger. While there are faults, a change
// goes through although its purge cannot be written: that is kept by the replica, and
// reaches others when it has been written.
func (c *purgeLoad) enter(p *purgeNote, tenant string, o *purgeOrder, kind string, doubtful bool) {
	c.mu.Lock() // after which sent and version are those of the origin
	defer c.mu.Unlock()
	c.acknowledge(p, c.of(inTenant(tenant, o.things)), kind, !doubtful)
	if doubtful {
		c.waiting[p.at][tenant] = append(c.waiting[p.at][tenant], p)
	}
}

// follow finds out when purges that were kept have been written.
func (c *purgeLoad) follow(cache int) {
	for c.pause(20 * time.Millisecond) {
		for tenant := range c.sheets {
			c.mu.Lock()
			list := append([]*purgeNote(nil), c.waiting[cache][tenant]...)
			c.mu.Unlock()
			if len(list) == 0 {
				continue
			}
			got, err := c.statusOf(cache, tenant)
			if err != nil || !strings.Contains(got.Body, `"pendingPurges":0`) {
				c.keep(list)
				continue
			}
			c.share(list)
			c.mu.Lock()
			c.waiting[cache][tenant] = c.waiting[cache][tenant][len(list):]
			c.mu.Unlock()
		}
	}
}

func (c *purgeLoad) statusOf(cache int, tenant string) (site.Reply, error) {
	return site.Send(http.MethodGet, c.replica[cache/ofReplica].URL+"/.odoocache/status", "", site.Fields("Host: "+hostOf(tenant, cache), site.Bearer))
}

// recovered waits until every cache is in use again after a fault.
func (c *purgeLoad) recovered() {
	require.Eventually(c.t, func() bool {
		for cache := 0; cache < caches; cache++ {
			for tenant := range c.sheets {
				c.mu.Lock()
				waiting := len(c.waiting[cache][tenant])
				c.mu.Unlock()
				got, err := c.statusOf(cache, tenant)
				if waiting > 0 || err != nil || !strings.Contains(got.Body, `"pendingPurges":0`) || !strings.Contains(got.Body, `"breaker":"closed"`) {
					return false
				}
			}
		}
		return true
	}, time.Minute, 20*time.Millisecond, "Redis is used again")
	c.faulty.Store(false)
}
