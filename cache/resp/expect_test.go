package resp

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shortServer answers the first command of each connection with +OK, and each exchange
// after that, of so many commands, with what is sent to it, piece by piece.
func shortServer(t *testing.T, commands int, timeout time.Duration, pieces []string) *Client {
	f := StartFake(t, func(_ int, c net.Conn, in *bufio.Reader) {
		for i := 0; readCommands(in, 1); i++ {
			if i == 0 {
				c.Write([]byte("+OK\r\n"))
				continue
			}
			readCommands(in, commands-1)
			for _, piece := range pieces {
				c.Write([]byte(piece))
				time.Sleep(5 * time.Millisecond) // so that they come one by one; it does not matter if not
			}
		}
	})
	c := New(Options{Address: f.Address, Timeout: timeout, DialTimeout: 10 * time.Second, MaxReply: 300})
	t.Cleanup(c.Close)
	_, err := c.DoTimeout(10*time.Second, ping)
	require.NoError(t, err)
	return c
}

// patience is the timeout of an exchange that ends in a state.
func patience(state Outcome) time.Duration {
	if state == TimedOut {
		return 200 * time.Millisecond
	}
	return 10 * time.Second
}

// each calls test with the bytes as one piece, cut in two at many places, and byte by
// byte. What comes after the end may come too late to be seen: see TestLateBytes.
func each(bytes string, test func(pieces []string)) {
	test([]string{bytes})
	if strings.HasSuffix(bytes, nonceReply+"+") {
		return
	}
	for i := 1; i < len(bytes); i += 5 {
		test([]string{bytes[:i], bytes[i:]})
	}
	test(strings.Split(bytes, ""))
}

const nonceReply = "$3\r\nabc\r\n"

func TestExpect(t *testing.T) {
	for _, c := range []struct {
		name, replies string
		state         Outcome
		kept          bool // the connection
	}{
		{"what is expected", "$1\r\n7\r\n$5\r\nhello\r\n" + nonceReply, Matches, true},
		{"another position", "$1\r\n8\r\n$5\r\nhello\r\n" + nonceReply, Differs, true},
		{"a longer position", "$2\r\n10\r\n$5\r\nhello\r\n" + nonceReply, Differs, true},
		{"no position", "$-1\r\n$5\r\nhello\r\n" + nonceReply, Differs, true},
		{"nothing there", "$1\r\n7\r\n$-1\r\n" + nonceReply, Differs, true},
		{"another size", "$1\r\n7\r\n$4\r\nhell\r\n" + nonceReply, Differs, true},
		{"a larger one", "$1\r\n7\r\n$6\r\nhello!\r\n" + nonceReply, Differs, true},
		{"errors", "-ERR x\r\n-ERR x\r\n" + nonceReply, Differs, true},
		{"another's end", "$1\r\n7\r\n$5\r\nhello\r\n$3\r\nabd\r\n", Differs, false},
		{"another's end and another position", "$1\r\n8\r\n$5\r\nhello\r\n$3\r\nabd\r\n", Differs, false},
		{"the end of an end", "$1\r\n8\r\n$5\r\nhello\r\n$2\r\nbc\r\n", Differs, false},
		{"too much", "$1\r\n7\r\n$5\r\nhello\r\n" + nonceReply + "+", Differs, false},
		{"too much, at another position", "$1\r\n8\r\n$5\r\nhello\r\n" + nonceReply + "+", Differs, false},
		{"garbage", "HTTP/1.1 400 Bad Request, and more\r\n\r\n", Differs, false},
		{"too little", "$1\r\n7\r\n$5\r\nhel", TimedOut, false},
		{"nothing", "", TimedOut, false},
	} {
		c := c
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			each(c.replies, func(pieces []string) {
				client := shortServer(t, 3, patience(c.state), pieces)
				era := client.Era()
				answer, state := Expect(client, era, time.Now(), &Expected{Request: Encoded(ping, ping, ping), Replies: 3, Lead: "$1\r\n7\r\n$5\r\n", Size: 5, End: "\r\n" + nonceReply})
				require.Equal(t, c.state, state, "%q", pieces)
				if state == Matches {
					require.Equal(t, "hello", string(answer))
				}
				require.Equal(t, c.kept, client.Stats().Open == 1, "%q", pieces)
				require.Equal(t, c.kept, client.Era() == era)
			})
		})
	}
}

// TestExpectOfAnotherEra: what comes from another server than was asked is not used.
func TestExpectOfAnotherEra(t *testing.T) {
	client := shortServer(t, 1, patience(Matches), []string{"$2\r\nhi\r\n" + nonceReply})
	_, state := Expect(client, client.Era()-1, time.Now(), &Expected{Request: Encoded(ping), Replies: 1, Lead: "$2\r\n", Size: 2, End: "\r\n" + nonceReply})
	require.Equal(t, Differs, state)
	require.EqualValues(t, 1, client.Stats().Idle)
}

// TestExpectChecksum: an answer of another checksum is none, and the connection is kept.
func TestExpectChecksum(t *testing.T) {
	whole := crc32.Checksum([]byte("head, hello"), castagnoli)
	part := crc32.Checksum([]byte("head, "), castagnoli)
	large := strings.Repeat("x", maxRoom)
	for _, c := range []struct {
		name  string
		reply string
		sum   *Checksum
		want  string
		state Outcome
	}{
		{"none", "hello", nil, "hello", Matches},
		{"the right one", "hello", &Checksum{Part: part, Sum: whole}, "hello", Matches},
		{"the right one, unseen", "hello", &Checksum{Part: part, Sum: whole, Unseen: true}, "", Matches},
		{"of another beginning", "hello", &Checksum{Sum: whole}, "", Differs},
		{"of other bytes", "hellO", &Checksum{Part: part, Sum: whole}, "", Differs},
		{"of other bytes, unseen", "hellO", &Checksum{Part: part, Sum: whole, Unseen: true}, "", Differs},
		{"too large to be kept, unseen", large, &Checksum{Sum: crc32.Checksum([]byte(large), castagnoli), Unseen: true}, large, Matches},
	} {
		c := c
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			expect := fmt.Sprintf("$%d\r\n", len(c.reply))
			test := func(pieces []string) {
				client := shortServer(t, 2, 10*time.Second, pieces)
				for i := 0; i < 3; i++ { // on the same connection
					answer, state := Expect(client, client.Era(), time.Now(), &Expected{Request: Encoded(ping, ping), Replies: 2, Lead: expect, Size: len(c.reply), End: "\r\n" + nonceReply, Sum: c.sum})
					require.Equal(t, c.state, state, "%q", pieces)
					require.Equal(t, c.want, string(answer))
					require.EqualValues(t, 1, client.Stats().Idle)
				}
				require.EqualValues(t, 1, client.Stats().Dials)
			}
			if bytes := expect + c.reply + "\r\n" + nonceReply; len(bytes) < 100 {
				each(bytes, test)
			} else {
				test([]string{bytes})
			}
		})
	}
}

func TestWords(t *testing.T) {
	long := strings.Repeat("x", 60)
	for _, c := range []struct {
		name, replies string
		want          string // "": none
		state         Outcome
		kept          bool
	}{
		{"all", "$1\r\n7\r\n$2\r\n10\r\n$5\r\nhello\r\n" + nonceReply, "7 10 hello", Matches, true},
		{"line breaks in the large one", "$1\r\n7\r\n$2\r\n10\r\n$7\r\n\r\n$-1\r\n\r\n" + nonceReply, "7 10 \r\n$-1\r\n", Matches, true},
		{"an empty one", "$1\r\n7\r\n$2\r\n10\r\n$0\r\n\r\n" + nonceReply, "7 10 ", Matches, true},
		{"no large one", "$1\r\n7\r\n$2\r\n10\r\n$-1\r\n" + nonceReply, "7 10 none", Matches, true},
		{"no word", "$-1\r\n$2\r\n10\r\n$5\r\nhello\r\n" + nonceReply, " 10 hello", Matches, true},
		{"no words", "$-1\r\n$-1\r\n$60\r\n" + long + "\r\n" + nonceReply, "  " + long, Matches, true},
		{"a word with line breaks", "$5\r\n7\r\n10\r\n$2\r\n10\r\n$5\r\nhello\r\n" + nonceReply, "", Differs, true},
		{"an error", "$1\r\n7\r\n-ERR x\r\n$5\r\nhello\r\n" + nonceReply, "", Differs, true},
		{"another's end", "$1\r\n7\r\n$2\r\n10\r\n$5\r\nhello\r\n$3\r\nabd\r\n", "", Differs, false},
		{"no line break after the large one", "$1\r\n7\r\n$2\r\n10\r\n$5\r\nhello!!" + nonceReply, "", Differs, false},
		{"too much", "$1\r\n7\r\n$2\r\n10\r\n$5\r\nhello\r\n" + nonceReply + "+", "", Differs, false},
		{"too large", "$1\r\n7\r\n$2\r\n10\r\n$301\r\n", "", Differs, false},
		{"too little", "$1\r\n7\r\n$2\r\n10\r\n$5\r\nhel", "", TimedOut, false},
		{"nothing", "", "", TimedOut, false},
	} {
		c := c
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			each(c.replies, func(pieces []string) {
				client := shortServer(t, 4, patience(c.state), pieces)
				words, large, state := ExpectWords(client, time.Now(), Encoded(ping, ping, ping, ping), 2, "\r\n"+nonceReply)
				if len(pieces) > 1 && c.state != TimedOut {
					require.NotEqual(t, TimedOut, state, "%q", pieces)
					if state == Differs { // what came first was too little to go on
						return
					}
				}
				require.Equal(t, c.state, state, "%q", pieces)
				if state == Matches {
					got := strings.Join(words, " ") + " " + string(large)
					if large == nil {
						got += "none"
					}
					require.Equal(t, c.want, got)
				}
				require.Equal(t, c.kept, client.Stats().Open == 1, "%q", pieces)
				require.Equal(t, state == TimedOut, client.Stats().Timeouts == 1)
			})
		})
	}
}

// TestLateBytes: what comes after the end is found by the next exchange, which does not
// take it for its own.
func TestLateBytes(t *testing.T) {
	f := StartFake(t, func(_ int, c net.Conn, in *bufio.Reader) {
		ReadCommand(in)
		c.Write([]byte("+OK\r\n"))
		ReadCommand(in)
		c.Write([]byte("$2\r\nhi\r\n" + nonceReply))
		ReadCommand(in)
		c.Write([]byte("$2\r\nho\r\n$3\r\nabc\r\n$2\r\nhi\r\n$3\r\nabe\r\n"))
		Drain(in)
	})
	c := New(Options{Address: f.Address, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	defer c.Close()
	_, err := c.Do(ping)
	require.NoError(t, err)
	_, state := Expect(c, c.Era(), time.Now(), &Expected{Request: Encoded(ping), Replies: 1, Lead: "$2\r\n", Size: 2, End: "\r\n" + nonceReply})
	require.Equal(t, Matches, state)
	_, state = Expect(c, c.Era(), time.Now(), &Expected{Request: Encoded(ping), Replies: 2, Lead: "$2\r\n", Size: 2, End: "\r\n$3\r\nabe\r\n"})
	require.Equal(t, Differs, state)
	require.Zero(t, c.Stats().Open)
}

// Replies that are read in one go are those that readReply reads, whatever they are.
func FuzzTakeShort(f *testing.F) {
	for _, seed := range []string{"$1\r\na\r\n", "+OK\r\n:1\r\n$-1\r\n", "$0\r\n\r\n-ERR\r\n", ":+1\r\n", "+a\nb\r\n", "$2\r\n\r\n\r\n", "*1\r\n", "$1\r\na", "+\r\n", "$-1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 {
			return
		}
		r := bufio.NewReaderSize(strings.NewReader(string(in)), maxLine)
		_, _ = r.Peek(1)
		got := make([]Reply, 3)
		n, wanted := takeShort(r, make([]Command, 3), got)
		require.True(t, wanted)
		s := &source{r: bufio.NewReaderSize(strings.NewReader(string(in)), maxLine)}
		for i := 0; i < n; i++ {
			s.left = 1 << 20
			var want Reply
			require.NoError(t, readReply(s, &want, 0))
			require.Equal(t, want, got[i])
		}
		_, _ = s.r.Peek(1)
		require.Equal(t, s.r.Buffered(), r.Buffered())
	})
}
