// Package hammer is what the tests of package redis run twice: compiled, and
// interpreted by Yaegi. So it is written in Yaegi's dialect.
package hammer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/resp"
)

const keys = 97

// Run lets goroutines work on few keys over a small pool. Each value says which
// key it belongs to, each pipeline ends with a word of its own. It returns what
// went wrong, "" if nothing did; how many operations came to nothing, which is an
// error only if strict; and the counters.
func Run(network, address string, goroutines, ops int, timeout time.Duration, strict bool) (string, int, resp.Stats) {
	c := resp.New(resp.Options{Network: network, Address: address, PoolSize: 8, Timeout: timeout, DialTimeout: timeout})
	defer c.Close()
	var mu sync.Mutex
	wrong := ""
	failed := 0
	var wg sync.WaitGroup
	for g := 0; g < goroutines; g++ {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			rnd := rand.New(rand.NewSource(int64(g)))
			for i := 0; i < ops; i++ {
				bad, err := operate(c, rnd, strconv.Itoa(g)+"/"+strconv.Itoa(i))
				if bad == "" && err == nil {
					continue
				}
				mu.Lock()
				if err != nil {
					failed++
				}
				if err != nil && (strict || !expected(err)) {
					bad = "unexpected: " + err.Error()
				}
				if bad != "" && wrong == "" {
					wrong = bad
				}
				mu.Unlock()
			}
		}(g)
	}
	wg.Wait()
	s := c.Stats()
	if wrong == "" && (s.Open != s.Idle || s.Open > 8 || s.Waiting != 0) {
		wrong = fmt.Sprintf("the pool is left with %+v", s)
	}
	return wrong, failed, s
}

// Failover works on few keys of the master that the sentinels at the addresses, which
// commas part, tell. It ends when, after failures, many operations in a row have come to
// something. It returns what went wrong, and how many operations failed.
func Failover(master, addresses, user, password string, timeout time.Duration) (string, int) {
	s := &resp.Sentinels{Master: master, Addresses: strings.Split(addresses, ","), Username: user, Password: password}
	c := resp.New(resp.Options{Sentinels: s, PoolSize: 8, Timeout: 500 * time.Millisecond, DialTimeout: 500 * time.Millisecond})
	defer c.Close()
	end := time.Now().Add(timeout)
	var mu sync.Mutex
	wrong := ""
	failed, row := 0, 0
	var wg sync.WaitGroup
	for g := 0; g < 16; g++ {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			rnd := rand.New(rand.NewSource(int64(g)))
			for i := 0; ; i++ {
				bad, err := operate(c, rnd, strconv.Itoa(g)+"/"+strconv.Itoa(i))
				mu.Lock()
				row++
				if err != nil {
					failed++
					row = 0
					if !expected(err) {
						bad = "unexpected: " + err.Error()
					}
				}
				if bad == "" && time.Now().After(end) {
					bad = fmt.Sprintf("no end after %d failures and %d successes: %v", failed, row, err)
				}
				if bad != "" && wrong == "" {
					wrong = bad
				}
				done := wrong != "" || failed > 0 && row > 500
				mu.Unlock()
				if done {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}(g)
	}
	wg.Wait()
	n := c.Stats()
	if wrong == "" && (n.Open != n.Idle || n.Open > 8 || n.Waiting != 0) {
		wrong = fmt.Sprintf("the pool is left with %+v", n)
	}
	return wrong, failed
}

func expected(err error) bool {
	return errors.Is(err, resp.ErrTimeout) || errors.Is(err, resp.ErrPoolTimeout) || errors.Is(err, resp.ErrConnect)
}

// operate writes one key and reads two.
func operate(c *resp.Client, rnd *rand.Rand, nonce string) (string, error) {
	if rnd.Intn(4) == 0 {
		key := "hammer:" + strconv.Itoa(rnd.Intn(keys))
		n := rnd.Intn(300)
		if rnd.Intn(8) == 0 {
			n = rnd.Intn(6000)
		}
		value := []byte(strings.Repeat(key+"|", n+1))
		r, err := c.Do(resp.Command{Args: []string{"SET", key}, Body: value, Tail: []string{"PX", "60000"}})
		if err != nil {
			return "", err
		}
		if r[0].Kind != resp.Status || r[0].Text != "OK" {
			return fmt.Sprintf("SET %s: %+v", key, r[0]), nil
		}
		return "", nil
	}
	a := "hammer:" + strconv.Itoa(rnd.Intn(keys))
	b := "hammer:" + strconv.Itoa(rnd.Intn(keys))
	r, err := c.Do(resp.Command{Args: []string{"GET", a}}, resp.Command{Args: []string{"GET", b}},
		resp.Command{Args: []string{"ECHO", nonce}})
	if err != nil {
		return "", err
	}
	if len(r) != 3 || string(r[2].Body) != nonce {
		return fmt.Sprintf("%s: a pipeline got another's replies", nonce), nil
	}
	return says(a, r[0]) + says(b, r[1]), nil
}

func says(key string, r resp.Reply) string {
	if r.Kind != resp.Bulk {
		return fmt.Sprintf("GET %s: kind %d", key, r.Kind)
	}
	if r.Null {
		return ""
	}
	word := key + "|"
	if len(r.Body)%len(word) != 0 || strings.Count(string(r.Body), word)*len(word) != len(r.Body) {
		return fmt.Sprintf("GET %s: got %.40q", key, r.Body)
	}
	return ""
}

// Ask opens a client and asks n times for GET key, one after the other. It
// returns the outcomes, each a name or the text of the reply, and the counters.
func Ask(address string, n int, timeout time.Duration) (string, resp.Stats) {
	c := resp.New(resp.Options{Address: address, Timeout: timeout, DialTimeout: timeout, MaxReply: 4096})
	defer c.Close()
	out := make([]string, n)
	for i := 0; i < n; i++ {
		r, err := c.Do(resp.Command{Args: []string{"GET", "key"}})
		if err != nil {
			out[i] = name(err)
			continue
		}
		out[i] = show(r[0])
	}
	return strings.Join(out, " "), c.Stats()
}

func name(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, resp.ErrTimeout):
		return "timeout"
	case errors.Is(err, resp.ErrClosed):
		return "closed"
	case errors.Is(err, resp.ErrPoolTimeout):
		return "pool-timeout"
	case errors.Is(err, resp.ErrProtocol):
		return "protocol"
	case errors.Is(err, resp.ErrTooLarge):
		return "too-large"
	case errors.Is(err, resp.ErrConnect):
		return "connect"
	}
	return err.Error()
}

func show(r resp.Reply) string {
	switch {
	case r.Kind == resp.Error && errors.Is(resp.Err(r), resp.ErrServer):
		return "-" + resp.Code(r)
	case r.Null:
		return "null"
	case r.Kind == resp.Bulk:
		return "$" + string(r.Body)
	case r.Kind == resp.Integer:
		return ":" + strconv.FormatInt(r.Int, 10)
	case r.Kind == resp.Array:
		items := ""
		for i := 0; i < len(r.Items); i++ {
			items += show(r.Items[i])
		}
		return "[" + items + "]"
	}
	return "+" + r.Text
}

// Visit opens a client with everything that Options has, and uses every kind
// of reply. It returns what went wrong.
func Visit(network, address, user, password string, db int, ca string) string {
	o := resp.Options{Network: network, Address: address, Username: user, Password: password, DB: db,
		Timeout: 10 * time.Second, DialTimeout: 10 * time.Second}
	if ca != "" {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(ca))
		o.TLS = &tls.Config{RootCAs: roots}
	}
	c := resp.New(o)
	defer c.Close()
	for _, size := range []int{0, 1, 100, 1 << 14, 1 << 20} {
		body := []byte(strings.Repeat("v", size))
		r, err := c.Do(
			resp.Command{Args: []string{"SET", "visit"}, Body: body, Tail: []string{"PX", "60000"}},
			resp.Command{Args: []string{"GET", "visit"}},
			resp.Command{Args: []string{"LPUSH", "visit", "x"}},
			resp.Command{Args: []string{"EVAL", "return {1, {'a', false}, redis.error_reply('MY fault'), {}}", "0"}})
		if err != nil {
			return err.Error()
		}
		if string(r[1].Body) != string(body) {
			return fmt.Sprintf("wrote %d bytes, read %d", size, len(r[1].Body))
		}
		got := show(r[0]) + show(r[2]) + show(r[3])
		if got != "+OK-WRONGTYPE[:1[$anull]-MY[]]" {
			return got
		}
	}
	s := c.Stats()
	if s.Open != 1 || s.Idle != 1 || s.Dials != 1 || s.Reuses != 4 || s.ServerErrors != 5 {
		return fmt.Sprintf("%+v", s)
	}
	return ""
}

// Crowd lets n callers wait for one connection to a server that does not
// answer, and closes the client. It returns the callers' outcomes.
func Crowd(address string, n int) string {
	c := resp.New(resp.Options{Address: address, PoolSize: 1, Timeout: time.Second})
	outcomes := make(chan string, n)
	for i := 0; i < n; i++ {
		go func() {
			_, err := c.Do(resp.Command{Args: []string{"PING"}})
			outcomes <- name(err)
		}()
	}
	for c.Stats().Waiting < int64(n-1) {
		runtime.Gosched()
	}
	c.Close()
	all := make([]string, n)
	for i := 0; i < n; i++ {
		outcome := <-outcomes // Yaegi loses what is received into an element directly
		all[i] = outcome
	}
	s := c.Stats()
	return fmt.Sprintf("%s, %d open, %d waiting", strings.Join(all, " "), s.Open, s.Waiting)
}

// Bench does n GETs of key over one connection and returns the time of one.
func Bench(address, key string, n, size int) (time.Duration, string) {
	c := resp.New(resp.Options{Address: address, Timeout: 10 * time.Second})
	defer c.Close()
	start := time.Now()
	for i := 0; i < n; i++ {
		r, err := c.Do(resp.Command{Args: []string{"GET", key}})
		if err != nil {
			return 0, err.Error()
		}
		if len(r[0].Body) != size {
			return 0, "wrong size"
		}
	}
	return time.Since(start) / time.Duration(n), ""
}

// BenchSet is Bench for SET.
func BenchSet(address, key string, n, size int) (time.Duration, string) {
	c := resp.New(resp.Options{Address: address, Timeout: 10 * time.Second})
	defer c.Close()
	body := make([]byte, size)
	start := time.Now()
	for i := 0; i < n; i++ {
		r, err := c.Do(resp.Command{Args: []string{"SET", key}, Body: body, Tail: []string{"PX", "60000"}})
		if err != nil || r[0].Kind != resp.Status {
			return 0, fmt.Sprint(r, err)
		}
	}
	return time.Since(start) / time.Duration(n), ""
}
