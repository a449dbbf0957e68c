package purges_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// purgeScene is a part of the time, and what happens in it.
type purgeScene struct {
	name   string
	share  int   // of the time
	softly int64 // of 100 purges, how many are soft
	faulty bool
	act    func(c *purgeLoad, until time.Time) int // returns how often it did something
}

var purgeScenes = []purgeScene{
	{name: "hard purges", share: 9},
	{name: "soft purges", share: 7, softly: 60},
	{name: "another tenant's purges", share: 8, softly: 20, act: (*purgeLoad).twoTenants},
	{name: "connections to Redis cut", share: 5, softly: 20, faulty: true, act: (*purgeLoad).cutConnections},
	{name: "a replica cut off from Redis", share: 9, softly: 10, faulty: true, act: (*purgeLoad).cutOff},
	{name: "a replica stopped for 5 s", share: 7, softly: 10, faulty: true, act: (*purgeLoad).stopReplica},
	{name: "Redis killed, and empty", share: 6, softly: 10, faulty: true, act: (*purgeLoad).killRedis},
	{name: "purge marks deleted", share: 4, softly: 10, faulty: true, act: (*purgeLoad).deleteMarks},
	{name: "Redis flushed", share: 3, softly: 10, faulty: true, act: (*purgeLoad).flushRedis},
	{name: "Redis full, allkeys-lru", share: 4, softly: 10, faulty: true, act: (*purgeLoad).fillRedis},
}

// every does something again and again until the scene ends.
func every(pause time.Duration, until time.Time, do func(n int)) int {
	n := 0
	for ; time.Now().Before(until); n++ {
		do(n)
		time.Sleep(pause)
	}
	return n
}

// twoTenants purges one tenant alone. Nothing of the other's, which has pages with
// the same addresses and tags, may be rendered again.
func (c *purgeLoad) twoTenants(until time.Time) int {
	c.writing.Lock()
	c.single.Store(true)
	c.writing.Unlock()
	begin := c.clock()
	// Until every memory tier has heard of the last one, and who has waited for
	// renderings that it straddled has got one of their own.
	c.pause(purgeStaleness + collapseWait)
	before := c.lasting(true)
	c.pause(time.Until(until))
	after := c.lasting(false)
	c.single.Store(false)
	for key, was := range before {
		if is := after[key]; is.id != was.id {
			c.fail(&told{address: key, body: is}, fmt.Sprintf("and before was rendered %v to %v, while another tenant alone was purged from %v on", was.began, was.ended, begin))
		}
	}
	return len(before)
}

// lasting returns what every cache has of the second tenant's long-lived pages,
// once nothing of it is stale any more, if that is to be waited for.
func (c *purgeLoad) lasting(wait bool) map[string]rendering {
	all := map[string]rendering{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := 0; i < caches; i++ {
		cache := i
		group.Add(1)
		go func() {
			defer group.Done()
			for _, s := range c.sheets[shops[1]] {
				for _, flavour := range flavours {
					if s.life != longLife {
						continue
					}
					got, status := c.get(cache, s, flavour)
					for n := 0; wait && n < 200 && (!strings.Contains(status, "; hit") || strings.Contains(status, "detail=")); n++ {
						c.pause(10 * time.Millisecond)
						got, status = c.get(cache, s, flavour)
					}
					mu.Lock()
					all[fmt.Sprintf("//%s%s, %s, at cache %d", hostOf(s.tenant, cache), s.address, flavour, cache)] = got
					mu.Unlock()
				}
			}
		}()
	}
	group.Wait()
	return all
}

// cutConnections: the nearest there is to a cut invalidation channel. A replica
// hears of purges by asking for them.
func (c *purgeLoad) cutConnections(until time.Time) int {
	return every(100*time.Millisecond, until, func(n int) {
		if n%10 < 7 {
			c.redis.Must("CLIENT KILL TYPE normal SKIPME yes")
		}
	})
}

// cutOff takes Redis away from one replica for longer than maxStaleness, then from
// the other.
func (c *purgeLoad) cutOff(until time.Time) int {
	part := time.Until(until) / 2
	for _, user := range replicaUsers {
		c.redis.Must("ACL SETUSER " + user + " off")
		c.redis.Must("CLIENT KILL USER " + user)
		c.pause(part * 2 / 3)
		c.redis.Must("ACL SETUSER " + user + " on")
		c.pause(part / 3)
	}
	return len(replicaUsers)
}

func (c *purgeLoad) stopReplica(until time.Time) int {
	length := 5 * time.Second
	if part := time.Until(until) - 2*time.Second; part < length {
		length = part
	}
	p := c.replica[c.random.Intn(ofReplica)]
	require.NoError(c.t, p.Cmd.Process.Signal(syscall.SIGSTOP))
	c.pause(length)
	require.NoError(c.t, p.Cmd.Process.Signal(syscall.SIGCONT))
	c.pause(time.Until(until))
	return 1
}

func (c *purgeLoad) killRedis(until time.Time) int {
	n := every(0, until.Add(-2*time.Second), func(int) {
		c.redis.Stop()
		c.pause(time.Second)
		c.redis.Start()
		c.pause(time.Second)
	})
	c.pause(time.Until(until))
	return n
}

func (c *purgeLoad) deleteMarks(until time.Time) int {
	return every(200*time.Millisecond, until, func(n int) {
		tenant := []string{shops[0], shops[1], quietShop}[n%3]
		c.redis.Must("DEL oc:{" + tenant + "}:marks")
	})
}

func (c *purgeLoad) flushRedis(until time.Time) int {
	return every(500*time.Millisecond, until, func(int) { c.redis.Must("FLUSHALL") })
}

var infoNumber = regexp.MustCompile(`(?m)^(used_memory|evicted_keys):(\d+)`)

func (c *purgeLoad) info(name string) int {
	for _, found := range infoNumber.FindAllStringSubmatch(c.redis.Must("INFO"), -1) {
		if found[1] == name {
			n, _ := strconv.Atoi(found[2])
			return n
		}
	}
	require.FailNow(c.t, "no figure "+name)
	return 0
}

// fillRedis leaves so little room that marks are evicted like anything else.
func (c *purgeLoad) fillRedis(until time.Time) int {
	evicted := c.info("evicted_keys")
	c.redis.Must("CONFIG SET maxmemory-policy allkeys-lru")
	c.redis.Must("FLUSHALL")
	c.redis.Must(fmt.Sprintf("CONFIG SET maxmemory %d", c.info("used_memory")+100_000))
	c.pause(time.Until(until))
	c.redis.Must("CONFIG SET maxmemory 0")
	return c.info("evicted_keys") - evicted
}

// play runs a scene and returns its figures.
func (c *purgeLoad) play(s purgeScene, length time.Duration) (figuresOf, int) {
	c.turn(s.faulty)
	c.softly.Store(s.softly)
	c.faulty.Store(s.faulty)
	n, until := 0, time.Now().Add(length)
	if s.act != nil {
		n = s.act(c, until)
	} else {
		c.pause(length)
	}
	if s.faulty {
		c.recovered()
	}
	c.softly.Store(0)
	return c.turn(true), n
}

// purgeDuration returns how long the checker is to run.
func purgeDuration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("PURGE_DURATION")
	if text == "" {
		site.NeedLong(t, "test-purge")
		text = "60s"
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "PURGE_DURATION")
	return d
}

// purgeSeed returns what pages and load are made up from: PURGE_SEED, or the time.
func purgeSeed(t *testing.T) int64 {
	t.Helper()
	seed := time.Now().UnixNano() % 1_000_000
	if text := os.Getenv("PURGE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseInt(text, 10, 64)
		require.NoError(t, err, "PURGE_SEED")
	}
	return seed
}

// TestPurgeChecker loads the cache while parts of it fail: no answer that is older than a
// purge which was acknowledged before it was asked for.
func TestPurgeChecker(t *testing.T) {
	total, seed := purgeDuration(t), purgeSeed(t)
	rounds, shares := int(total.Minutes()), 0
	if rounds == 0 {
		rounds = 1
	}
	for _, s := range purgeScenes {
		shares += s.share
	}
	c := startPurgeLoad(t, seed, nil)
	sums, faults := make([]figuresOf, len(purgeScenes)), make([]int, len(purgeScenes))
	begin := time.Now()
	for round := 0; round < rounds; round++ {
		for i, s := range purgeScenes {
			f, n := c.play(s, total*time.Duration(s.share)/time.Duration(shares*rounds))
			sums[i].add(f)
			faults[i] += n
		}
	}
	took := time.Since(begin)
	c.stop()
	c.turn(true)
	fmt.Print(c.report(fmt.Sprintf("%v, %d round(s), seed %d", took.Round(time.Second), rounds, seed), sums, faults))
	most := len(c.found)
	if most > 10 {
		most = 10
	}
	assert.Empty(t, c.found, strings.Join(c.found[:most], "\n"))

	// What was not tried was not shown.
	f := c.total
	for what, n := range map[string]int{
		"hits from memory": f.memory, "hits from Redis": f.redis, "stale answers": f.stale, "collapsed answers": f.shared,
		"renderings that a purge straddles": f.straddled, "purges that were refused": f.refused, "purges that were kept": f.kept,
		"times in which another's memory was behind": int(f.otherMemory),
	} {
		assert.Positive(t, n, what)
	}
	assert.GreaterOrEqual(t, len(c.kinds), 17, "kinds of purges: %v", c.kinds)
}

// report is the table of what was tried, how often, and the worst of it.
func (c *purgeLoad) report(head string, sums []figuresOf, faults []int) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nPurges over two replicas and one Redis: %s, memory.maxStaleness %v\n\n", head, purgeStaleness)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\t\t\t\t\t\t\t\thits\thits\t\t\tlate\tlate\tlate\t\tkept\t\t")
	fmt.Fprintln(w, "\ttimes\tpurges\trefused\tkept\trenders\tstraddled\tanswers\tmemory\tRedis\tcollapsed\tstale\tsame\tRedis\tmemory\tcopy\tfor\twrong\t")
	for i, s := range purgeScenes {
		fmt.Fprintf(w, "%s\t%d\t%s", s.name, faults[i], sums[i].row())
	}
	fmt.Fprintf(w, "all\t\t%s", c.total.row())
	_ = w.Flush()
	kinds := make([]string, 0, len(c.kinds))
	for kind, n := range c.kinds {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
	}
	sort.Strings(kinds)
	fmt.Fprintf(&b, `
times       faults made; pages of the other tenant that must still be there; marks and pages evicted
refused     purge requests answered 503, since Redis could not be reached
kept        purges by responses that waited in a replica until Redis could be reached
straddled   renderings during which a purge of the page was acknowledged
hits ...    by where they came from; answers of a rendering that another request had begun; stale answers
late        longest time from a hard purge to a request that still got what was older: where it was sent through,
            elsewhere from Redis, elsewhere from memory (counted from when the purge was in Redis)
copy        longest time that one stale copy was given out
kept for    longest time that a purge was kept, and other replicas did not know of it
purges      %s
machine     this program stood still for %v at most

`, strings.Join(kinds, ", "), time.Duration(c.stall.Load()).Round(time.Millisecond))
	return b.String()
}

func (f figuresOf) row() string {
	cells := []int{f.purges, f.refused, f.kept, f.renders, f.straddled, f.answers, f.memory, f.redis, f.shared, f.stale}
	row := ""
	for _, n := range cells {
		row += fmt.Sprintf("%d\t", n)
	}
	for _, m := range []moment{f.sameReplica, f.otherRedis, f.otherMemory, f.refresh, f.keptFor} {
		row += fmt.Sprintf("%v\t", time.Duration(m).Round(time.Millisecond))
	}
	return row + fmt.Sprintf("%d\t\n", f.violations)
}

// TestPurgeCheckerFinds: the checker finds a violation in a plugin that is wrong.
func TestPurgeCheckerFinds(t *testing.T) {
	purgeDuration(t)
	for _, m := range []struct {
		name     string
		folder   string
		old, new string
		scene    int // in which it shows
	}{
		{"nobody looks at purge marks", "cache/purges", "if v.hard[e.Tags[i]] > e.Seq {", "if false {", 0},
		{"a page is stored as of the end of its rendering", "cache",
			"Epoch: v.head.Epoch, Seq: v.head.Seq, Tags: f.tags,", "Epoch: h.tenant.Head().Epoch, Seq: h.tenant.Head().Seq, Tags: f.tags,", 0},
		{"the memory tier never asks", "cache/tier", "\tif !current {", "\tif false {", 0},
		{"soft marks do not count", "cache/purges", "if v.soft[e.Tags[i]] > e.Seq {", "if false {", 1},
		{"nobody refreshes what is stale", "cache", "if h.claimRefresh(b) {", "if false {", 1},
		{"lost marks count as none", "cache/purges", "e.Epoch != v.head.Epoch || e.Seq < v.floor || e.Seq > v.head.Seq", "e.Seq < v.floor", 7},
	} {
		t.Run(m.name, func(t *testing.T) {
			begin := time.Now()
			c := startPurgeLoad(t, purgeSeed(t), func(dir string) { require.NoError(t, source.Edit(filepath.Join(dir, m.folder), m.old, m.new)) })
			started := time.Now()
			found := make(chan struct{})
			var once sync.Once
			c.tell(func() { once.Do(func() { close(found) }) })
			s := purgeScenes[m.scene]
			c.softly.Store(s.softly)
			c.faulty.Store(s.faulty)
			for waited := false; !waited; {
				if s.act != nil {
					s.act(c, time.Now().Add(500*time.Millisecond))
				}
				select {
				case <-found:
					waited = true
				case <-time.After(10 * time.Millisecond):
					waited = time.Since(started) > stack.Patience
				}
			}
			took := time.Since(started)
			c.stop()
			require.NotEmpty(t, c.found, "nothing found in %v", took)
			fmt.Printf("found in %v (%v with the start): %s:\n  %s\n", took.Round(10*time.Millisecond), time.Since(begin).Round(time.Second), m.name, c.found[0])
		})
	}
}
