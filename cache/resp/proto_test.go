package resp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testLimit = 1000

func read(in io.Reader) (Reply, *source, error) {
	s := &source{r: bufio.NewReaderSize(in, maxLine), left: testLimit}
	var r Reply
	err := readReply(s, &r, 0)
	return r, s, err
}

func TestReadReply(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Reply
	}{
		{"status", "+OK\r\n", Reply{Kind: Status, Text: "OK"}},
		{"empty status", "+\r\n", Reply{Kind: Status}},
		{"error", "-ERR unknown\r\n", Reply{Kind: Error, Text: "ERR unknown"}},
		{"empty error", "-\r\n", Reply{Kind: Error}},
		{"integer", ":42\r\n", Reply{Kind: Integer, Int: 42}},
		{"negative integer", ":-42\r\n", Reply{Kind: Integer, Int: -42}},
		{"integer with a plus", ":+42\r\n", Reply{Kind: Integer, Int: 42}},
		{"largest integer", ":9223372036854775807\r\n", Reply{Kind: Integer, Int: math.MaxInt64}},
		{"smallest integer", ":-9223372036854775808\r\n", Reply{Kind: Integer, Int: math.MinInt64}},
		{"bulk", "$5\r\nhello\r\n", Reply{Kind: Bulk, Body: []byte("hello")}},
		{"empty bulk", "$0\r\n\r\n", Reply{Kind: Bulk, Body: []byte{}}},
		{"null bulk", "$-1\r\n", Reply{Kind: Bulk, Null: true}},
		{"bulk of line ends and types", "$8\r\n\r\n$-1\r\n+\r\n", Reply{Kind: Bulk, Body: []byte("\r\n$-1\r\n+")}},
		{"bulk as large as allowed", "$1000\r\n" + strings.Repeat("x", 1000) + "\r\n",
			Reply{Kind: Bulk, Body: bytes.Repeat([]byte("x"), 1000)}},
		{"empty array", "*0\r\n", Reply{Kind: Array, Items: []Reply{}}},
		{"null array", "*-1\r\n", Reply{Kind: Array, Null: true}},
		{"array", "*5\r\n:1\r\n+a\r\n$1\r\nb\r\n$-1\r\n-ERR c\r\n", Reply{Kind: Array, Items: []Reply{
			{Kind: Integer, Int: 1}, {Kind: Status, Text: "a"}, {Kind: Bulk, Body: []byte("b")},
			{Kind: Bulk, Null: true}, {Kind: Error, Text: "ERR c"}}}},
		{"arrays in arrays", "*2\r\n*1\r\n*0\r\n*-1\r\n", Reply{Kind: Array, Items: []Reply{
			{Kind: Array, Items: []Reply{{Kind: Array, Items: []Reply{}}}}, {Kind: Array, Null: true}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, s, err := read(strings.NewReader(c.in))
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
			assert.Zero(t, s.r.Buffered())

			got, _, err = read(iotest.OneByteReader(strings.NewReader(c.in)))
			require.NoError(t, err, "byte by byte")
			assert.Equal(t, c.want, got, "byte by byte")

			for i := 0; i < len(c.in); i++ {
				_, _, err = read(strings.NewReader(c.in[:i]))
				assert.True(t, err == io.EOF || err == io.ErrUnexpectedEOF, "cut after %d bytes: %v", i, err)
			}
		})
	}
}

func TestReadReplyMalformed(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"empty line", "\r\n", ErrProtocol},
		{"only LF", "\n", ErrProtocol},
		{"no CR", "+OK\n", ErrProtocol},
		{"type and LF", "+\n", ErrProtocol},
		{"unknown type", "OK\r\n", ErrProtocol},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", ErrProtocol},
		{"RESP3 null", "_\r\n", ErrProtocol},
		{"RESP3 map", "%1\r\n+a\r\n+b\r\n", ErrProtocol},
		{"RESP3 push", ">1\r\n+a\r\n", ErrProtocol},
		{"NUL", "\x00\r\n", ErrProtocol},
		{"high byte", "\xff\r\n", ErrProtocol},
		{"TLS alert", "\x15\x03\x01\x00\x02\x02\x46\n", ErrProtocol},

		{"integer without digits", ":\r\n", ErrProtocol},
		{"integer with letters", ":12a\r\n", ErrProtocol},
		{"integer with a space", ": 12\r\n", ErrProtocol},
		{"hexadecimal integer", ":0x10\r\n", ErrProtocol},
		{"float", ":1.5\r\n", ErrProtocol},
		{"integer beyond 64 bits", ":9223372036854775808\r\n", ErrProtocol},

		{"bulk without length", "$\r\n", ErrProtocol},
		{"bulk of -2", "$-2\r\n", ErrProtocol},
		{"bulk of -0", "$-0\r\n", ErrProtocol},
		{"bulk of -01", "$-01\r\n", ErrProtocol},
		{"bulk of +1", "$+1\r\na\r\n", ErrProtocol},
		{"bulk of 0x1", "$0x1\r\na\r\n", ErrProtocol},
		{"bulk of 1_0", "$1_0\r\n0123456789\r\n", ErrProtocol},
		{"bulk of ' 1'", "$ 1\r\na\r\n", ErrProtocol},
		{"bulk of the smallest integer", "$-9223372036854775808\r\n", ErrProtocol},
		{"bulk far below zero", "$-99999999999999999999\r\n", ErrProtocol},
		{"bulk longer than said", "$1\r\nab\r\n", ErrProtocol},
		{"bulk shorter than said", "$2\r\na\r\n+", ErrProtocol},
		{"bulk that ends in LF LF", "$1\r\na\n\n", ErrProtocol},
		{"bulk that ends in CR CR", "$1\r\na\r\r", ErrProtocol},
		{"bulk one too large", "$1001\r\n", ErrTooLarge},
		{"bulk of 9 GB", "$9999999999\r\n", ErrTooLarge},
		{"bulk of the largest integer", "$9223372036854775807\r\n", ErrTooLarge},
		{"bulk beyond 64 bits", "$99999999999999999999\r\n", ErrTooLarge},

		{"array without length", "*\r\n", ErrProtocol},
		{"array of -2", "*-2\r\n", ErrProtocol},
		{"array of garbage", "*1\r\nx\r\n", ErrProtocol},
		{"array that is too long", "*11\r\n", ErrTooLarge},
		{"array of the largest integer", "*9223372036854775807\r\n", ErrTooLarge},
		{"array beyond 64 bits", "*99999999999999999999\r\n", ErrTooLarge},
		{"array with too much in it", "*2\r\n$500\r\n" + strings.Repeat("x", 500) + "\r\n$400\r\n", ErrTooLarge},
		{"arrays that are too much together", "*9\r\n*1\r\n+a\r\n*1\r\n", ErrTooLarge},

		{"status that is too large", "+" + strings.Repeat("x", 1001) + "\r\n", ErrTooLarge},
		{"endless line", "+" + strings.Repeat("x", maxLine), ErrProtocol},
		{"endless length", "$" + strings.Repeat("1", maxLine), ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := read(strings.NewReader(c.in))
			assert.ErrorIs(t, err, c.want)
		})
	}
}

func TestReadReplyDepth(t *testing.T) {
	for _, c := range []struct {
		depth int
		want  error
	}{{maxDepth, nil}, {maxDepth + 1, ErrProtocol}, {100_000, ErrProtocol}} {
		in := strings.Repeat("*1\r\n", c.depth) + "+x\r\n"
		s := &source{r: bufio.NewReader(strings.NewReader(in)), left: math.MaxInt}
		assert.ErrorIs(t, readReply(s, &Reply{}, 0), c.want)
	}
}

// A declared length allocates nothing before it was found to be allowed.
func TestRefusedBeforeAllocation(t *testing.T) {
	for _, in := range []string{"$1000000000\r\n", "*1000000000\r\n"} {
		n := testing.AllocsPerRun(10, func() {
			s := &source{r: bufio.NewReaderSize(strings.NewReader(in), 32), left: 16 << 20}
			require.ErrorIs(t, readReply(s, &Reply{}, 0), ErrTooLarge)
		})
		assert.Less(t, n, 30.0)
	}
}

func TestEncode(t *testing.T) {
	big := bytes.Repeat([]byte("b"), bigBody)
	small := big[:bigBody-1]
	for _, c := range []struct {
		name   string
		cmds   []Command
		want   string
		pieces int
	}{
		{"args", []Command{{Args: []string{"GET", "k"}}}, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", 0},
		{"empty and binary args", []Command{{Args: []string{"SET", "", "\r\n\x00ü"}}},
			"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\n\r\n\x00ü\r\n", 0},
		{"body last", []Command{{Args: []string{"SET", "k"}, Body: []byte("v")}},
			"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", 0},
		{"body in the middle", []Command{{Args: []string{"SET", "k"}, Body: []byte("v"), Tail: []string{"PX", "10"}}},
			"*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$2\r\nPX\r\n$2\r\n10\r\n", 0},
		{"empty body", []Command{{Args: []string{"SET", "k"}, Body: []byte{}}},
			"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", 0},
		{"nil body before a tail is an empty one", []Command{{Args: []string{"SET", "k"}, Tail: []string{"NX"}}},
			"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n$2\r\nNX\r\n", 0},
		{"just small enough to copy", []Command{{Args: []string{"SET", "k"}, Body: small}},
			"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16383\r\n" + string(small) + "\r\n", 0},
		{"large body", []Command{{Args: []string{"SET", "k"}, Body: big, Tail: []string{"NX"}}},
			"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$16384\r\n" + string(big) + "\r\n$2\r\nNX\r\n", 3},
		{"pipeline", []Command{{Args: []string{"PING"}}, {Args: []string{"SET", "a"}, Body: big},
			{Args: []string{"PING"}}, {Args: []string{"SET", "b"}, Body: big}, {Args: []string{"PING"}}},
			"*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$16384\r\n" + string(big) + "\r\n*1\r\n$4\r\nPING\r\n" +
				"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$16384\r\n" + string(big) + "\r\n*1\r\n$4\r\nPING\r\n", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, pieces, err := encode([]byte{}, c.cmds)
			require.NoError(t, err)
			assert.Len(t, pieces, c.pieces)
			if pieces != nil {
				out = bytes.Join(pieces, nil)
			}
			assert.Equal(t, c.want, string(out))
		})
	}
	_, _, err := encode(nil, []Command{{Args: []string{"PING"}}, {}})
	assert.ErrorIs(t, err, ErrProtocol, "the server would not answer a command without a name")
}

func TestErrAndCode(t *testing.T) {
	for _, c := range []struct {
		r    Reply
		code string
		err  bool
	}{
		{Reply{Kind: Error, Text: "READONLY You can't write"}, "READONLY", true},
		{Reply{Kind: Error, Text: "OOM"}, "OOM", true},
		{Reply{Kind: Error, Text: ""}, "", true},
		{Reply{Kind: Status, Text: "OK fine"}, "", false},
		{Reply{Kind: Bulk, Null: true}, "", false},
		{Reply{}, "", false},
	} {
		assert.Equal(t, c.code, Code(c.r))
		assert.Equal(t, c.err, errors.Is(Err(c.r), ErrServer))
	}
}

// Whatever the input: no panic, no error but the known ones, never more than
// what is allowed, and what was read is written again to the same reply.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "-ERR x\r\n", ":1\r\n", "$5\r\nhello\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
		"*2\r\n*1\r\n:1\r\n$0\r\n\r\n", "$99999999999999999999\r\n", "*1000000\r\n", "$-2\r\n", "+OK\n", "\r\n", "",
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "HTTP/1.1 200 OK\r\n", strings.Repeat("*1\r\n", 20) + "+x\r\n", "$2\r\na\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, s, err := read(bytes.NewReader(in))
		if err != nil {
			require.True(t, errors.Is(err, ErrProtocol) || errors.Is(err, ErrTooLarge) || err == io.EOF ||
				err == io.ErrUnexpectedEOF, "%v", err)
			return
		}
		require.GreaterOrEqual(t, s.left, 0)
		require.LessOrEqual(t, weight(r), testLimit)
		again, _, err := read(strings.NewReader(render(r)))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func weight(r Reply) int {
	n := len(r.Text) + len(r.Body) + itemCost*len(r.Items)
	for _, item := range r.Items {
		n += weight(item)
	}
	return n
}

// render writes a reply the way a server does.
func render(r Reply) string {
	switch {
	case r.Null:
		return map[Kind]string{Bulk: "$-1\r\n", Array: "*-1\r\n"}[r.Kind]
	case r.Kind == Status:
		return "+" + r.Text + "\r\n"
	case r.Kind == Error:
		return "-" + r.Text + "\r\n"
	case r.Kind == Integer:
		return ":" + itoa(int(r.Int)) + "\r\n"
	case r.Kind == Bulk:
		return "$" + itoa(len(r.Body)) + "\r\n" + string(r.Body) + "\r\n"
	}
	out := "*" + itoa(len(r.Items)) + "\r\n"
	for _, item := range r.Items {
		out += render(item)
	}
	return out
}

// FuzzEncode: commands arrive as they were meant, whatever bytes they have.
func FuzzEncode(f *testing.F) {
	f.Add("GET", "key", []byte(nil), "")
	f.Add("SET", "key\r\n*1\r\n", []byte("body\r\n$5\r\n"), "PX")
	f.Add("", "", []byte{}, "")
	f.Add("SET", "k", bytes.Repeat([]byte("x"), bigBody), "1")
	f.Fuzz(func(t *testing.T, name, key string, body []byte, tail string) {
		cmd := Command{Args: []string{name, key}, Body: body}
		want := []string{name, key}
		if tail != "" {
			cmd.Tail = []string{tail}
		}
		if body != nil || tail != "" {
			want = append(want, string(body))
		}
		if tail != "" {
			want = append(want, tail)
		}
		out, pieces, err := encode(nil, []Command{cmd, cmd})
		require.NoError(t, err)
		sent := string(out)
		if pieces != nil {
			sent = ""
			for _, piece := range pieces {
				sent += string(piece)
			}
		}
		in := strings.NewReader(sent)
		s := source{r: bufio.NewReaderSize(in, maxLine)}
		for i := 0; i < 2; i++ {
			s.left = 1 << 30
			var r Reply
			require.NoError(t, readReply(&s, &r, 0))
			var got []string
			for _, item := range r.Items {
				got = append(got, string(item.Body))
			}
			require.Equal(t, want, got)
		}
		require.Zero(t, s.r.Buffered()+in.Len())
	})
}
