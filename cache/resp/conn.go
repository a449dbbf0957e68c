package resp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// conn is one connection to the server. It knows nothing of the pool.
type conn struct {
	raw net.Conn // what is closed: closing the TLS layer may wait for the peer
	rw  net.Conn // what is read and written: raw, or TLS over it
	in  source
	out []byte
	max int // Options.MaxReply

	room []byte // for what Expect only compares, at most maxRoom

	address  string
	run      string // of the server, if it was asked for it and told it
	roleless bool   // it was asked for its role, and did not tell
}

// dial makes a connection that is ready for commands. Its errors wrap
// ErrConnect, and ErrTimeout, ErrAuth, ErrServer or ErrProtocol where one of
// these was the cause. No error holds text that was read while the password was
// under way, since a server may echo it.
//
// A secret that is refused is read again. If it is another one by now, that is tried.
func dial(o Options, deadline time.Time) (*conn, error) {
	if o.Secret == nil {
		return dialOnce(o, deadline)
	}
	o.Password = o.Secret.current()
	c, err := dialOnce(o, deadline)
	if err == nil || !errors.Is(err, ErrAuth) {
		return c, err
	}
	password, other, unread := o.Secret.renewed(o.Password)
	if unread != nil {
		return nil, fmt.Errorf("%w, and %v", err, unread)
	}
	if !other {
		return nil, err
	}
	o.Password = password
	return dialOnce(o, deadline)
}

// dialOnce makes a connection with a given password.
func dialOnce(o Options, deadline time.Time) (*conn, error) {
	limit := time.Now().Add(o.DialTimeout)
	if limit.After(deadline) {
		limit = deadline
	}
	d := net.Dialer{Deadline: limit}
	raw, err := d.Dial(o.Network, o.Address)
	if err != nil {
		return nil, connectError(err)
	}
	c, err := setUp(raw, o, limit)
	if err != nil {
		_ = raw.Close()
		return nil, connectError(err)
	}
	return c, nil
}

func setUp(raw net.Conn, o Options, deadline time.Time) (*conn, error) {
	c := &conn{raw: raw, rw: raw, max: o.MaxReply, address: o.Address}
	if o.TLS != nil {
		if err := raw.SetDeadline(deadline); err != nil {
			return nil, err
		}
		t := tls.Client(raw, named(o.TLS, o.Address))
		if err := t.Handshake(); err != nil {
			return nil, err
		}
		c.rw = t
	}
	c.in.r = bufio.NewReaderSize(c.rw, maxLine)
	return c, greet(c, o, deadline)
}

// named returns TLS settings with the name of the server: its host, unless they have
// another.
func named(t *tls.Config, address string) *tls.Config {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return t
	}
	return withName(t, host)
}

// withName returns TLS settings with the name of a server, unless they have one, or there is none.
func withName(t *tls.Config, name string) *tls.Config {
	if t == nil || t.ServerName != "" || name == "" {
		return t
	}
	t = t.Clone()
	t.ServerName = name
	return t
}

// greet sends AUTH and SELECT, and asks for the role and the run where these matter, in one
// round trip.
func greet(c *conn, o Options, deadline time.Time) error {
	var cmds []Command
	if o.Username != "" {
		cmds = append(cmds, Command{Args: []string{"AUTH", o.Username, o.Password}})
	} else if o.Password != "" {
		cmds = append(cmds, Command{Args: []string{"AUTH", o.Password}})
	}
	if o.DB > 0 {
		cmds = append(cmds, Command{Args: []string{"SELECT", strconv.Itoa(o.DB)}})
	}
	if o.master {
		cmds = append(cmds, Command{Args: []string{"ROLE"}})
	}
	if o.Runs {
		cmds = append(cmds, Command{Args: []string{"INFO", "server"}})
	}
	if len(cmds) == 0 {
		return nil
	}
	replies, _, _, err := exchange(c, deadline, cmds)
	if err != nil {
		return err
	}
	for i := 0; i < len(replies); i++ {
		name := cmds[i].Args[0]
		if name == "SELECT" {
			name = "SELECT " + cmds[i].Args[1]
		}
		if name == "INFO" { // it may be an error, too
			c.run = RunID(replies[i])
			continue
		}
		if name == "ROLE" && replies[i].Kind == Error && (Code(replies[i]) == "NOPERM" || Code(replies[i]) == "ERR") {
			err = hello(c, deadline)
		} else if name == "ROLE" {
			err = isMaster(replies[i])
		} else {
			err = greeted(name, replies[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errNoMaster is about a server that is, or has become, a replica.
var errNoMaster = errors.New("not being a master")

// isMaster refuses a server that is not, or not any more, a master.
func isMaster(r Reply) error {
	if r.Kind == Array && len(r.Items) > 0 && string(r.Items[0].Body) == "master" {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrServer, errNoMaster)
}

// hello asks for the role in another way, which needs no permission
// (https://redis.io/commands/hello). A server that does not know it, such as a proxy, is taken for a
// master.
func hello(c *conn, deadline time.Time) error {
	replies, _, _, err := exchange(c, deadline, []Command{{Args: []string{"HELLO", "2"}}})
	if err != nil {
		return err
	}
	items := replies[0].Items
	for i := 0; i+1 < len(items); i += 2 {
		if string(items[i].Body) != "role" {
			continue
		}
		if string(items[i+1].Body) != "master" {
			return fmt.Errorf("%w: %w", ErrServer, errNoMaster)
		}
		return nil
	}
	c.roleless = true
	return nil
}

// greeted says what is wrong with the answer to AUTH or SELECT, in words of
// our own: some servers quote the arguments of a command that they do not know.
func greeted(name string, r Reply) error {
	if r.Kind == Status && r.Text == "OK" {
		return nil
	}
	if r.Kind != Error {
		return fmt.Errorf("%w: %s was not answered with OK", ErrProtocol, name)
	}
	code := Code(r)
	if code == "NOAUTH" || code == "WRONGPASS" || code == "NOPERM" {
		return fmt.Errorf("%w: %s was answered with %s", ErrAuth, name, code)
	}
	text := strings.ToLower(r.Text)
	if strings.Contains(text, "max number of clients") {
		return fmt.Errorf("%w: %s was not read, the server has too many clients", ErrServer, name)
	}
	if name == "AUTH" && (strings.Contains(text, "auth") || strings.Contains(text, "password")) {
		return fmt.Errorf("%w: AUTH was answered with an error", ErrAuth)
	}
	return fmt.Errorf("%w: %s was answered with an error", ErrServer, name)
}

// exchange writes the commands and reads a reply for each. It reports whether one of
// them is an error. It returns silent if the connection broke before a byte of an
// answer came. After an error the connection has to be closed.
func exchange(c *conn, deadline time.Time, cmds []Command) (replies []Reply, failed, silent bool, err error) {
	out, pieces, err := encode(c.out, cmds)
	if err == nil {
		err = c.rw.SetDeadline(deadline)
	}
	if err == nil {
		if pieces == nil {
			_, err = c.rw.Write(out)
		} else {
			_, err = pieces.WriteTo(c.rw)
		}
	}
	if cap(out) <= maxLine {
		c.out = out[:0]
	}
	if err == nil {
		_, err = c.in.r.Peek(1)
	}
	if err != nil {
		err = transportError(err)
		return nil, false, errors.Is(err, ErrConnect), err
	}
	replies = make([]Reply, len(cmds))
	n := 0
	wanted := true
	if c.max >= len(lengths) {
		n, wanted = takeShort(c.in.r, cmds, replies)
	}
	if n < len(cmds) && wanted {
		failed, wanted, err = readReplies(&c.in, c.max, cmds[n:], replies[n:])
	}
	if err != nil || !wanted || c.in.r.Buffered() != 0 {
		return nil, false, false, refusal(cmds, replies, err, wanted)
	}
	return replies, failed, false, nil
}

// refusal says what is wrong with replies. Those that are not to these commands are
// those to another caller's that a connection still held, or something on the way has
// mixed them up.
func refusal(cmds []Command, replies []Reply, err error, wanted bool) error {
	if err != nil {
		return transportError(err)
	}
	if wanted {
		return fmt.Errorf("%w: data after the last reply", ErrProtocol)
	}
	for i := 0; i < len(cmds); i++ {
		if want := cmds[i].Want; want == "" || string(replies[i].Body) == want {
			continue
		}
		if err := Err(replies[i]); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the replies are those to other commands", ErrProtocol)
}

// connectError adds ErrConnect to what dial failed with.
func connectError(err error) error {
	err = transportError(err)
	if errors.Is(err, ErrConnect) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrConnect, err)
}

// transportError tells timeouts from other failures of a connection. Errors that
// are ours already stay what they are.
func transportError(err error) error {
	if timedOut(err) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	if errors.Is(err, ErrProtocol) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrTimeout) ||
		errors.Is(err, ErrConnect) || errors.Is(err, ErrAuth) || errors.Is(err, ErrServer) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrConnect, err)
}

func timedOut(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return !errors.Is(err, ErrTimeout)
	}
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}
