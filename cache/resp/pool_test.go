package resp

import (
	"bufio"
	"errors"
	"net"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

func soon() time.Time { return time.Now().Add(10 * time.Second) }

// pipe is a connection that knows whether it was closed.
type pipe struct {
	net.Conn
	closed bool
}

func (p *pipe) Close() error {
	p.closed = true
	return nil
}

func testConn() *conn { return &conn{raw: &pipe{}} }

func closed(c *conn) bool { return c.raw.(*pipe).closed }

func mustTake(t *testing.T, p *pool) *slot {
	t.Helper()
	s, err := take(p, soon())
	require.NoError(t, err)
	return s
}

// waiting blocks until n callers are in the queue.
func waiting(p *pool, n int) {
	for {
		p.mu.Lock()
		have := len(p.queue)
		p.mu.Unlock()
		if have == n {
			return
		}
		runtime.Gosched()
	}
}

func newPool(size int) *pool { return &pool{size: size, idleTimeout: time.Hour} }

func TestPoolUsesTheLatestFirst(t *testing.T) {
	p := newPool(3)
	a, b := mustTake(t, p), mustTake(t, p)
	a.conn, b.conn = testConn(), testConn()
	put(p, a)
	put(p, b)
	assert.Same(t, b, mustTake(t, p))
	assert.Same(t, a, mustTake(t, p))
	assert.Nil(t, mustTake(t, p).conn, "a third one has to be dialled")
	assert.Equal(t, 3, p.open)
}

func TestPoolIsBounded(t *testing.T) {
	p := newPool(2)
	a, b := mustTake(t, p), mustTake(t, p)
	_, err := take(p, time.Now().Add(time.Millisecond))
	assert.ErrorIs(t, err, ErrPoolTimeout)
	assert.Empty(t, p.queue)
	put(p, a)
	put(p, b)
	assert.Zero(t, p.open, "slots without a connection are given up")
}

func TestPoolServesWhoWaitsInTurn(t *testing.T) {
	p := newPool(1)
	s := mustTake(t, p)
	s.conn = testConn()
	const n = 20
	order := make(chan int, n)
	for i := 0; i < n; i++ {
		go func(i int) {
			s, err := take(p, soon())
			if err != nil {
				i = -1
			}
			order <- i
			put(p, s)
		}(i)
		waiting(p, i+1)
	}
	put(p, s)
	for i := 0; i < n; i++ {
		assert.Equal(t, i, <-order)
	}
}

// queue takes the pool's only slot and puts a caller behind it.
func queue(t *testing.T, p *pool) (*slot, chan *slot) {
	s := mustTake(t, p)
	s.conn = testConn()
	turn := make(chan *slot, 2)
	p.queue = append(p.queue, turn)
	return s, turn
}

// The timer fires, then the slot comes, then the caller looks: he has to pass
// the slot on.
func TestPoolTimeoutSwallowsNoSlot(t *testing.T) {
	p := newPool(1)
	s, turn := queue(t, p)
	turn <- nil
	put(p, s)
	require.Len(t, turn, 2)
	_, err := await(p, turn, soon())
	assert.ErrorIs(t, err, ErrPoolTimeout)
	assert.Same(t, s, mustTake(t, p), "the slot is back")
	assert.NotNil(t, s.conn)
}

// The same with another caller behind: the slot goes to him.
func TestPoolTimeoutPassesTheSlotOn(t *testing.T) {
	p := newPool(1)
	s, turn := queue(t, p)
	got := make(chan *slot)
	go func() {
		next, _ := take(p, soon())
		got <- next
	}()
	waiting(p, 2)
	turn <- nil
	put(p, s)
	_, err := await(p, turn, soon())
	assert.ErrorIs(t, err, ErrPoolTimeout)
	assert.Same(t, s, <-got)
}

// The slot comes first and the timer after it.
func TestPoolSlotBeforeTimer(t *testing.T) {
	p := newPool(1)
	s, turn := queue(t, p)
	put(p, s)
	got, err := await(p, turn, time.Now().Add(-time.Second))
	require.NoError(t, err)
	assert.Same(t, s, got)
}

// Deadlines so short that timer and slot meet all the time. At the end every
// slot has to be there, and no two callers may have had one at once.
func TestPoolTimeoutsUnderLoad(t *testing.T) {
	p := newPool(3)
	users := map[*slot]int{}
	var mu sync.Mutex
	count := func(s *slot, n int) {
		mu.Lock()
		defer mu.Unlock()
		users[s] += n
		assert.LessOrEqual(t, users[s], 1)
	}
	var wg sync.WaitGroup
	timeouts := 0
	for g := 0; g < 32; g++ {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			for i := 0; i < 500; i++ {
				s, err := take(p, time.Now().Add(time.Duration(i%50)*time.Microsecond))
				if err != nil {
					mu.Lock()
					timeouts++
					mu.Unlock()
					continue
				}
				count(s, 1)
				if s.conn == nil {
					s.conn = testConn()
				}
				runtime.Gosched()
				if i%17 == 0 {
					s.conn = nil
				}
				count(s, -1)
				put(p, s)
			}
		}(g)
	}
	wg.Wait()
	t.Logf("%d timeouts", timeouts)
	assert.Empty(t, p.queue)
	assert.Len(t, p.idle, p.open)
	for i := 0; i < 3; i++ {
		mustTake(t, p)
	}
}

func TestPoolClosesWhatWasIdleForTooLong(t *testing.T) {
	p := newPool(3)
	s := []*slot{mustTake(t, p), mustTake(t, p), mustTake(t, p)}
	conns := []*conn{testConn(), testConn(), testConn()}
	for i := range s {
		s[i].conn = conns[i]
		put(p, s[i])
	}
	s[0].since = time.Now().Add(-2 * time.Hour)
	s[1].since = time.Now().Add(-61 * time.Minute)
	assert.Same(t, s[2], mustTake(t, p))
	assert.Equal(t, 1, p.open)
	assert.Empty(t, p.idle)
	assert.True(t, closed(conns[0]) && closed(conns[1]))
	assert.False(t, closed(conns[2]))
}

func TestPoolShut(t *testing.T) {
	p := newPool(2)
	idle, busy := mustTake(t, p), mustTake(t, p)
	idle.conn, busy.conn = testConn(), testConn()
	put(p, idle)
	mustTake(t, p) // so that callers have to queue
	errs := make(chan error)
	for i := 0; i < 3; i++ {
		go func() {
			_, err := take(p, soon())
			errs <- err
		}()
	}
	waiting(p, 3)
	shut(p)
	shut(p)
	for i := 0; i < 3; i++ {
		assert.ErrorIs(t, <-errs, ErrClosed)
	}
	assert.False(t, closed(busy.conn), "whoever uses it may finish")
	put(p, busy)
	put(p, idle)
	assert.True(t, closed(busy.conn) && closed(idle.conn))
	assert.Zero(t, p.open)
	_, err := take(p, soon())
	assert.ErrorIs(t, err, ErrClosed)
}

func TestPoolShutClosesIdle(t *testing.T) {
	p := newPool(2)
	s := mustTake(t, p)
	c := testConn()
	s.conn = c
	put(p, s)
	shut(p)
	assert.True(t, closed(c))
	assert.Zero(t, p.open)
}

// A timeout that meets Close ends as one of both, and no slot is lost.
func TestPoolTimeoutMeetsShut(t *testing.T) {
	p := newPool(1)
	s, turn := queue(t, p)
	turn <- nil
	shut(p)
	require.Len(t, turn, 2)
	_, err := await(p, turn, soon())
	assert.True(t, errors.Is(err, ErrClosed) || errors.Is(err, ErrPoolTimeout))
	put(p, s)
	assert.Zero(t, p.open)
	assert.Empty(t, p.queue)
}

// Callers that wait share what one connection can do, over the whole client.
func TestClientQueue(t *testing.T) {
	step := make(chan bool)
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
		for ReadCommand(in) {
			<-step
			c.Write([]byte("+OK\r\n"))
		}
	})
	c := New(Options{Address: fake.Address, PoolSize: 1, Timeout: 10 * time.Second})
	defer c.Close()
	done := make(chan error, 10)
	for i := 0; i < 10; i++ {
		go func() {
			_, err := c.Do(Command{Args: []string{"PING"}})
			done <- err
		}()
	}
	waiting(c.pool, 9)
	_, err := c.DoTimeout(time.Millisecond, Command{Args: []string{"PING"}})
	assert.ErrorIs(t, err, ErrPoolTimeout)
	assert.Equal(t, Stats{Open: 1, Waiting: 9, Dials: 1, PoolTimeouts: 1}, c.Stats())
	for i := 0; i < 10; i++ {
		step <- true
		assert.NoError(t, <-done)
	}
	assert.Equal(t, Stats{Open: 1, Idle: 1, Dials: 1, Reuses: 9, PoolTimeouts: 1}, c.Stats())
	assert.Equal(t, 1, fake.Accepted())
}
