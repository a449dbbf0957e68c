package resp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Cluster is a client of a Redis Cluster
// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/). All
// keys of a pipeline must be in one slot. A node that fails costs those whose keys
// it has, and nobody else.
type Cluster struct {
	o     Options // of connections to nodes, without the address
	seeds []string

	refreshing sync.Mutex // one asks for the slots at a time

	mu     sync.Mutex
	nodes  map[string]*Client // by address
	names  map[string]string  // of nodes whose address is a number, for TLS, by address
	ranges []slotRange
	asked  time.Time // for the slots
	asking bool
	stale  bool // what is known of them
	tags   map[string]int
	closed bool

	changes int64 // of ranges
}

type slotRange struct {
	from, to int
	address  string
}

const (
	slotCount    = 16384
	refreshPause = time.Second // between two questions for the slots
	maxTags      = 4096
	maxNodes     = 1000
)

// NewCluster returns a client of the cluster that the nodes at the addresses belong to.
// It dials nothing. Each node gets a pool of its own.
func NewCluster(o Options, addresses []string) *Cluster {
	o.Address = ""
	o.Network = "tcp"
	o.DB = 0
	return &Cluster{o: New(o).o, seeds: addresses, nodes: map[string]*Client{}, tags: map[string]int{}, stale: true}
}

// Do sends the commands to the node that has their keys. See Client.Do; an error
// reply MOVED or ASK has been followed once.
func (c *Cluster) Do(cmds ...Command) ([]Reply, error) {
	if len(cmds) == 0 {
		return nil, nil
	}
	deadline := time.Now().Add(c.o.Timeout)
	slot := c.slotOf(keyOf(cmds[0]))
	node, err := c.nodeFor(slot, deadline)
	if err != nil {
		return nil, err
	}
	replies, err := run(node, time.Until(deadline), cmds)
	if err != nil {
		if errors.Is(err, ErrConnect) || errors.Is(err, ErrTimeout) {
			c.doubt()
		}
		return nil, err
	}
	for i := 0; i < len(replies); i++ {
		if replies[i].Kind == Error {
			return c.redirected(node, slot, deadline, cmds, replies)
		}
	}
	return replies, nil
}

// redirected follows the redirections among replies, all of them to one node: those
// of a pipeline are about one slot. What proves that the replies are those to these
// commands goes with them.
func (c *Cluster) redirected(node *Client, slot int, deadline time.Time, cmds []Command, replies []Reply) ([]Reply, error) {
	to := ""
	var again []Command
	var places []int
	for i := 0; i < len(replies); i++ {
		word, address := redirection(replies[i], node.o.Address)
		if word == "CLUSTERDOWN" {
			c.doubt()
		}
		if address == "" || to != "" && address != to {
			continue
		}
		to = address
		if word == "MOVED" {
			c.moved(slot, address) // before anything of the other node is read
		} else {
			again = append(again, Command{Args: []string{"ASKING"}})
		}
		again = append(again, cmds[i])
		places = append(places, len(again)-1, i)
	}
	if to == "" {
		return replies, nil
	}
	if last := cmds[len(cmds)-1]; last.Want != "" {
		again = append(again, last)
	}
	if c.needsName(to) { // it is known once the slots are
		c.reload(deadline)
	}
	other, err := c.node(to)
	if err != nil {
		return nil, err
	}
	followed, err := run(other, time.Until(deadline), again)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(places); i += 2 {
		from, at := places[i], places[i+1]
		replies[at] = followed[from]
	}
	return replies, nil
}

// moved notes that a slot has another node, until the slots are asked for.
func (c *Cluster) moved(slot int, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = true
	if c.addressOf(slot) == address {
		return
	}
	c.changes++
	c.ranges = append([]slotRange{{from: slot, to: slot, address: address}}, c.ranges...)
	if len(c.ranges) > slotCount { // it cannot tell more of them
		c.ranges = c.ranges[:slotCount]
	}
}

// Expect sends to the node that has the key, as far as is known, and expects its answer, see
// the function Expect.
func (c *Cluster) Expect(key string, era int64, now time.Time, e *Expected) (answer []byte, state Outcome) {
	slot := c.slotOf(key)
	c.mu.Lock()
	var node *Client
	if !c.stale {
		node = c.nodes[c.addressOf(slot)]
	}
	c.mu.Unlock()
	if node == nil || c.Era(key) != era {
		return nil, Differs
	}
	answer, state = Expect(node, node.Era(), now, e)
	if state == Matches && c.Era(key) != era {
		return nil, Differs
	}
	return answer, state
}

// Era is Client.Era of the node that has a key. Another node for it is another era,
// too.
func (c *Cluster) Era(key string) int64 {
	slot := c.slotOf(key)
	c.mu.Lock()
	node := c.nodes[c.addressOf(slot)]
	changes := c.changes
	c.mu.Unlock()
	if node == nil {
		return changes << 32
	}
	return changes<<32 + node.Era()
}

// keyOf returns the key of a command that this cache sends.
func keyOf(cmd Command) string {
	if len(cmd.Args) > 3 && cmd.Args[0] == "EVAL" {
		return cmd.Args[3]
	}
	if len(cmd.Args) > 1 {
		return cmd.Args[1]
	}
	return ""
}

// redirection reads MOVED 3999 127.0.0.1:6381 and ASK. Without a host it is that of
// the node that says so. Of any other reply it returns Code.
func redirection(r Reply, from string) (word, address string) {
	word = Code(r)
	if word != "MOVED" && word != "ASK" {
		return word, ""
	}
	parts := strings.Fields(r.Text)
	if len(parts) != 3 {
		return word, ""
	}
	at := strings.LastIndexByte(parts[2], ':') // an IPv6 address is not in brackets
	if at < 0 {
		return word, ""
	}
	host := strings.Trim(parts[2][:at], "[]")
	port, err := strconv.ParseUint(parts[2][at+1:], 10, 16)
	if err != nil || port == 0 {
		return word, ""
	}
	return word, addressOn(host, int64(port), from)
}

// addressOn returns the address of a node as another one tells it. Where it tells no host, or
// "?", the host is its own.
func addressOn(host string, port int64, from string) string {
	if host == "" || host == "?" {
		host, _, _ = net.SplitHostPort(from)
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}

// isNumeric reports whether the host of an address is a number, which certificates seldom have.
func isNumeric(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && net.ParseIP(host) != nil
}

// needsName reports whether a node has no name yet that its certificate could be checked for.
func (c *Cluster) needsName(address string) bool {
	if c.o.TLS == nil || c.o.TLS.ServerName != "" || !isNumeric(address) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[address] == "" && c.nodes[address] == nil && time.Since(c.asked) >= refreshPause
}

// doubt makes the next command ask for the slots again.
func (c *Cluster) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = true
}

// nodeFor returns the client of the node that has a slot.
func (c *Cluster) nodeFor(slot int, deadline time.Time) (*Client, error) {
	c.mu.Lock()
	wanted := c.stale && (time.Since(c.asked) >= refreshPause || c.asking && len(c.ranges) == 0)
	c.mu.Unlock()
	if wanted {
		c.reload(deadline)
	}
	c.mu.Lock()
	address := c.addressOf(slot)
	c.mu.Unlock()
	if address == "" {
		c.doubt()
		return nil, fmt.Errorf("%w: no node is known to have slot %d", ErrConnect, slot)
	}
	return c.node(address)
}

// addressOf returns the node of a slot, "" if it is not known. The caller has the lock.
func (c *Cluster) addressOf(slot int) string {
	for i := 0; i < len(c.ranges); i++ {
		if slot >= c.ranges[i].from && slot <= c.ranges[i].to {
			return c.ranges[i].address
		}
	}
	return ""
}

func (c *Cluster) node(address string) (*Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	node := c.nodes[address]
	if node == nil {
		if len(c.nodes) >= maxNodes {
			return nil, fmt.Errorf("%w: more than %d nodes", ErrConnect, maxNodes)
		}
		o := c.o
		o.Address = address
		o.TLS = withName(o.TLS, c.names[address])
		node = New(o)
		c.nodes[address] = node
	}
	return node, nil
}

// reload asks for the slots: the nodes that are known, then those of the
// configuration, until one tells. While one request does, the others go by what is
// known.
func (c *Cluster) reload(deadline time.Time) {
	if !c.refreshing.TryLock() {
		c.mu.Lock()
		known := len(c.ranges) > 0
		c.mu.Unlock()
		if known {
			return
		}
		c.refreshing.Lock() // the first answer is worth waiting for
		defer c.refreshing.Unlock()
		return
	}
	defer func() { c.refreshing.Unlock() }()
	c.mu.Lock()
	if len(c.ranges) == 0 && time.Since(c.asked) < refreshPause { // somebody has, meanwhile, in vain
		c.mu.Unlock()
		return
	}
	c.asked = time.Now()
	c.asking = true
	var addresses []string
	for i := 0; i < len(c.ranges); i++ {
		addresses = append(addresses, c.ranges[i].address)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.asking = false
		c.mu.Unlock()
	}()
	addresses = append(addresses, c.seeds...)
	tried := map[string]bool{}
	for i := 0; i < len(addresses) && time.Now().Before(deadline); i++ {
		if tried[addresses[i]] {
			continue
		}
		tried[addresses[i]] = true
		ranges, names := c.askSlots(addresses[i], time.Until(deadline)/2)
		if len(ranges) > 0 {
			c.adopt(ranges, names)
			return
		}
	}
}

// askSlots asks one node for the slots, and for the names of the nodes whose addresses are
// numbers. It returns nil if it does not tell.
func (c *Cluster) askSlots(address string, timeout time.Duration) (ranges []slotRange, names map[string]string) {
	node, err := c.node(address)
	if err != nil {
		return nil, nil
	}
	replies, err := run(node, timeout, []Command{{Args: []string{"CLUSTER", "SLOTS"}}})
	if err != nil || replies[0].Kind != Array {
		return nil, nil
	}
	names = map[string]string{}
	for i := 0; i < len(replies[0].Items); i++ {
		item := replies[0].Items[i].Items
		for n := 2; n < len(item); n++ { // the master of the slots, and its replicas
			if len(item[n].Items) < 2 {
				continue
			}
			at := addressOn(string(item[n].Items[0].Body), item[n].Items[1].Int, address)
			if n == 2 {
				ranges = append(ranges, slotRange{from: int(item[0].Int), to: int(item[1].Int), address: at})
			}
			if name := hostnameIn(item[n]); name != "" && isNumeric(at) && len(names) < maxNodes {
				names[at] = name
			}
		}
	}
	return ranges, names
}

// hostnameIn returns the name of a node in what CLUSTER SLOTS tells of it beside its address: a list
// of keys and values, as of Redis 7.
func hostnameIn(node Reply) string {
	if len(node.Items) < 4 {
		return ""
	}
	more := node.Items[3].Items
	for i := 0; i+1 < len(more); i += 2 {
		if string(more[i].Body) == "hostname" {
			return string(more[i+1].Body)
		}
	}
	return ""
}

// nameIn returns the name in TLS settings, if there are any.
func nameIn(t *tls.Config) string {
	if t == nil {
		return ""
	}
	return t.ServerName
}

// adopt takes over what a node has told, and closes the connections to nodes that
// have no slots any more, or another name.
func (c *Cluster) adopt(ranges []slotRange, names map[string]string) {
	c.mu.Lock()
	if !sameRanges(c.ranges, ranges) {
		c.changes++
	}
	c.ranges = ranges
	c.names = names
	c.stale = false
	wanted := map[string]bool{}
	for i := 0; i < len(ranges); i++ {
		wanted[ranges[i].address] = true
	}
	var gone []*Client
	for address, node := range c.nodes {
		if !wanted[address] || nameIn(node.o.TLS) != nameIn(withName(c.o.TLS, names[address])) {
			gone = append(gone, node)
			delete(c.nodes, address)
		}
	}
	c.mu.Unlock()
	for i := 0; i < len(gone); i++ {
		gone[i].Close()
	}
}

func sameRanges(a, b []slotRange) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i].from != b[i].from || a[i].to != b[i].to || a[i].address != b[i].address {
			return false
		}
	}
	return true
}

// slotOf returns the slot of a key: the CRC16 of what is between the first braces, or
// of all of it.
func (c *Cluster) slotOf(key string) int {
	tag := key
	if from := strings.IndexByte(key, '{'); from >= 0 {
		if n := strings.IndexByte(key[from+1:], '}'); n > 0 {
			tag = key[from+1 : from+1+n]
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	slot, known := c.tags[tag]
	if !known {
		slot = int(crc16(tag)) % slotCount
		if len(c.tags) >= maxTags {
			c.tags = map[string]int{}
		}
		c.tags[tag] = slot
	}
	return slot
}

// crc16 is the checksum of the cluster specification: CRC-16/XMODEM.
func crc16(s string) uint16 {
	sum := uint16(0)
	for i := 0; i < len(s); i++ {
		sum ^= uint16(s[i]) << 8
		for bit := 0; bit < 8; bit++ {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// Close closes the connections to all nodes.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	var all []*Client
	for _, node := range c.nodes {
		all = append(all, node)
	}
	c.nodes = map[string]*Client{}
	c.mu.Unlock()
	for i := 0; i < len(all); i++ {
		all[i].Close()
	}
}

// MaxReply returns how many bytes a reply may have.
func (c *Cluster) MaxReply() int {
	return c.o.MaxReply
}

// Stats returns the sum of the counters of all nodes.
func (c *Cluster) Stats() Stats {
	c.mu.Lock()
	var all []*Client
	for _, node := range c.nodes {
		all = append(all, node)
	}
	c.mu.Unlock()
	var sum Stats
	for i := 0; i < len(all); i++ {
		s := all[i].Stats()
		sum.Open += s.Open
		sum.Idle += s.Idle
		sum.Waiting += s.Waiting
		sum.Dials += s.Dials
		sum.Reuses += s.Reuses
		sum.Retries += s.Retries
		sum.Timeouts += s.Timeouts
		sum.PoolTimeouts += s.PoolTimeouts
		sum.ConnectErrors += s.ConnectErrors
		sum.AuthErrors += s.AuthErrors
		sum.ProtocolErrors += s.ProtocolErrors
		sum.TooLarge += s.TooLarge
		sum.ServerErrors += s.ServerErrors
	}
	return sum
}
