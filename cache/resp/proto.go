package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

const (
	maxLine  = 64 << 10 // bytes of a line; also the size of a connection's read buffer
	maxDepth = 16       // arrays within arrays
	itemCost = 96       // bytes that an array's item counts on top of its content
	bigBody  = 16 << 10 // bodies from here on are written without copying them
)

// Command is one command: Args, then Body, then Tail, so that
// SET key <body> PX 1000 is
//
//	Command{Args: []string{"SET", key}, Body: body, Tail: []string{"PX", "1000"}}
//
// Body is an argument, perhaps an empty one, unless both it and Tail are nil.
// It is not copied into a string, and not at all if it is large.
type Command struct {
	Args []string
	Body []byte
	Tail []string
	Want string // what the reply has to be, a bulk string, for the others to be trusted; empty: anything
}

// Kind says which fields of a Reply count.
type Kind int

// The kinds of replies. The zero Kind is that of no reply.
const (
	None    Kind = iota
	Status       // Text
	Error        // Text
	Integer      // Int
	Bulk         // Body, or Null
	Array        // Items, or Null
)

// Reply is one reply of the server.
type Reply struct {
	Kind  Kind
	Null  bool   // a bulk or an array that does not exist
	Text  string // without the type byte
	Int   int64
	Body  []byte // never nil in a bulk that exists
	Items []Reply
}

// Err returns the error that a reply is, wrapping ErrServer, nil if it is none.
func Err(r Reply) error {
	if r.Kind != Error {
		return nil
	}
	return fmt.Errorf("%w: %q", ErrServer, r.Text)
}

// Code returns the first word of an error reply (ERR, READONLY, LOADING, OOM,
// MOVED), "" for any other reply.
func Code(r Reply) string {
	if r.Kind != Error {
		return ""
	}
	word, _, _ := strings.Cut(r.Text, " ")
	return word
}

// counts and lengths are the lines before the arguments of a command and before one
// argument, by number.
var (
	counts  = prefixes("*", 16)
	lengths = prefixes("$", 256)
)

func prefixes(kind string, n int) []string {
	list := make([]string, n)
	for i := 0; i < n; i++ {
		list[i] = kind + strconv.Itoa(i) + "\r\n"
	}
	return list
}

// encode appends the commands to out. If there are large bodies it returns the
// pieces to be written as well, and they are all that has to be written.
//
// This is for commands of few and short arguments, encodeAny for all others: a call
// costs an interpreter as much as the function has expressions, used or not.
func encode(out []byte, cmds []Command) ([]byte, net.Buffers, error) {
	text := ""
	for i := 0; i < len(cmds); i++ {
		args := cmds[i].Args
		if len(args) == 0 || len(args) >= len(counts) || cmds[i].Body != nil || cmds[i].Tail != nil {
			return encodeAny(out, cmds)
		}
		text += counts[len(args)]
		for _, a := range args {
			if len(a) >= len(lengths) {
				return encodeAny(out, cmds)
			}
			text += lengths[len(a)] + a + "\r\n"
		}
	}
	return append(out, text...), nil, nil
}

func encodeAny(out []byte, cmds []Command) ([]byte, net.Buffers, error) {
	var pieces net.Buffers
	start := 0
	for i := 0; i < len(cmds); i++ {
		cmd := &cmds[i]
		if len(cmd.Args) == 0 {
			return nil, nil, fmt.Errorf("%w: command %d has no name", ErrProtocol, i)
		}
		if cmd.Body == nil && cmd.Tail == nil {
			out = append(out, "*"+strconv.Itoa(len(cmd.Args))+"\r\n"...)
			out = appendArgs(out, cmd.Args)
			continue
		}
		out = append(out, "*"+strconv.Itoa(len(cmd.Args)+1+len(cmd.Tail))+"\r\n"...)
		out = appendArgs(out, cmd.Args)
		out = append(out, "$"+strconv.Itoa(len(cmd.Body))+"\r\n"...)
		if len(cmd.Body) < bigBody {
			out = append(out, cmd.Body...)
		} else {
			pieces = append(pieces, out[start:], cmd.Body)
			start = len(out)
		}
		out = append(out, "\r\n"...)
		out = appendArgs(out, cmd.Tail)
	}
	if pieces != nil {
		pieces = append(pieces, out[start:])
	}
	return out, pieces, nil
}

func appendArgs(out []byte, args []string) []byte {
	for i := 0; i < len(args); i++ {
		a := args[i]
		out = append(out, "$"+strconv.Itoa(len(a))+"\r\n"+a+"\r\n"...)
	}
	return out
}

// source is the reading side of a connection.
type source struct {
	r    *bufio.Reader
	left int // bytes that the reply being read may still have
}

// takeShort takes short replies off the beginning of what has been read already, as far
// as there are such, into replies. It returns how many, and whether all of them are such
// as their commands want them. Errors are left to readReplies.
func takeShort(in *bufio.Reader, cmds []Command, replies []Reply) (n int, wanted bool) {
	chunk, _ := in.Peek(in.Buffered())
	parts := strings.SplitN(string(chunk), "\r\n", 2*len(replies)+1)
	last := len(parts) - 1 // it may be a part of a line
	at := 0
	used := 0
	wanted = true
	for n < len(replies) && at < last {
		line := parts[at]
		r := &replies[n]
		if len(line) > 1 && line[0] == '$' && line[1] != '-' {
			body := parts[at+1]
			if at+1 == last || len(body) >= len(lengths) || lengths[len(body)] != line+"\r\n" {
				break
			}
			r.Kind = Bulk
			r.Body = []byte(body)
			used += len(body) + 2
			at++
		} else if !oneLine(r, line) {
			break
		}
		if want := cmds[n].Want; want != "" && want != string(r.Body) {
			wanted = false
		}
		used += len(line) + 2
		at++
		n++
	}
	_, _ = in.Discard(used)
	return n, wanted
}

// oneLine takes a reply that is one short line, unless it is an error.
func oneLine(r *Reply, line string) bool {
	if len(line) > 32 || strings.IndexByte(line, '\n') >= 0 {
		return false
	}
	if line == "$-1" {
		r.Kind = Bulk
		r.Null = true
		return true
	}
	if len(line) < 2 {
		return false
	}
	if line[0] == '+' {
		r.Kind = Status
		r.Text = line[1:]
		return true
	}
	n, err := strconv.ParseInt(line[1:], 10, 64)
	if line[0] != ':' || err != nil {
		return false
	}
	r.Kind = Integer
	r.Int = n
	return true
}

// readReplies reads a reply to each command. It reports whether one of them is an
// error, and whether all are such as their commands want them. See readReply for err.
func readReplies(s *source, limit int, cmds []Command, replies []Reply) (failed, wanted bool, err error) {
	wanted = true
	for i := 0; i < len(replies); i++ {
		s.left = limit
		r := &replies[i]
		line, err := s.r.ReadSlice('\n')
		end := len(line) - 2
		size := -1
		if err == nil && end > 0 && line[0] == '$' && line[1] != '+' && line[end] == '\r' {
			size, _ = strconv.Atoi(string(line[1:end]))
		}
		if size <= 0 || size > limit {
			if err = readLine(s, r, line, err, 0); err != nil {
				return false, false, err
			}
			failed = failed || r.Kind == Error
		} else {
			b := make([]byte, size+2)
			if _, err = io.ReadFull(s.r, b); err != nil {
				return false, false, err
			}
			if b[size] != '\r' || b[size+1] != '\n' {
				return false, false, noCRLF(size)
			}
			r.Kind = Bulk
			r.Body = b[:size:size]
		}
		if want := cmds[i].Want; want != "" && string(r.Body) != want {
			wanted = false
		}
	}
	return failed, wanted, nil
}

func noCRLF(n int) error {
	return fmt.Errorf("%w: a bulk of %d bytes does not end in CRLF", ErrProtocol, n)
}

// readReply reads one reply into r. An error that wraps neither ErrProtocol nor
// ErrTooLarge is one of the connection. After any error the stream is useless.
func readReply(s *source, r *Reply, depth int) error {
	line, err := s.r.ReadSlice('\n')
	return readLine(s, r, line, err, depth)
}

// readLine goes on after the first line of a reply, which may have failed to come.
func readLine(s *source, r *Reply, line []byte, err error, depth int) error {
	if err == bufio.ErrBufferFull {
		return fmt.Errorf("%w: a line has more than %d bytes", ErrProtocol, maxLine)
	}
	if err != nil {
		return err
	}
	end := len(line) - 2
	if end < 1 || line[end] != '\r' {
		return fmt.Errorf("%w: a line is empty or does not end in CRLF", ErrProtocol)
	}
	switch line[0] {
	case '$':
		return readBulk(s, r, string(line[1:end]))
	case '*':
		return readArray(s, r, string(line[1:end]), depth)
	case ':':
		r.Kind = Integer
		r.Int, err = strconv.ParseInt(string(line[1:end]), 10, 64)
		if err != nil {
			return fmt.Errorf("%w: an integer reply is no 64-bit integer", ErrProtocol)
		}
		return nil
	case '+':
		r.Kind = Status
	case '-':
		r.Kind = Error
	default:
		return fmt.Errorf("%w: %q is no type of a RESP2 reply", ErrProtocol, line[0])
	}
	r.Text = string(line[1:end])
	return spend(s, len(r.Text))
}

// readBulk allocates only after the length was found to be allowed, and reads
// the content and its CRLF at once.
func readBulk(s *source, r *Reply, length string) error {
	r.Kind = Bulk
	if length == "-1" {
		r.Null = true
		return nil
	}
	n, err := parseLength(length)
	if err != nil {
		return err
	}
	if err = spend(s, n); err != nil {
		return err
	}
	b := make([]byte, n+2)
	if _, err = io.ReadFull(s.r, b); err != nil {
		return err
	}
	if b[n] != '\r' || b[n+1] != '\n' {
		return noCRLF(n)
	}
	r.Body = b[:n:n]
	return nil
}

func readArray(s *source, r *Reply, length string, depth int) error {
	r.Kind = Array
	if length == "-1" {
		r.Null = true
		return nil
	}
	n, err := parseLength(length)
	if err != nil {
		return err
	}
	if depth == maxDepth {
		return fmt.Errorf("%w: more than %d arrays within each other", ErrProtocol, maxDepth)
	}
	if n > s.left/itemCost {
		return fmt.Errorf("%w: an array of %d items", ErrTooLarge, n)
	}
	s.left -= n * itemCost
	r.Items = make([]Reply, n)
	for i := 0; i < n; i++ {
		if err = readReply(s, &r.Items[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

func parseLength(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && n >= 0 && s[0] >= '0' { // no sign
		return n, nil
	}
	if errors.Is(err, strconv.ErrRange) && s[0] != '-' {
		return 0, fmt.Errorf("%w: a length beyond all numbers", ErrTooLarge)
	}
	return 0, fmt.Errorf("%w: a length is no natural number", ErrProtocol)
}

func spend(s *source, n int) error {
	if n > s.left {
		return fmt.Errorf("%w: %d bytes where %d are left", ErrTooLarge, n, s.left)
	}
	s.left -= n
	return nil
}
