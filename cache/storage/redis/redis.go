// Package redis is the storage in Redis, and the only place that spells its commands out.
//
// redis.go stores, purges and removes; find.go looks entries up, varied.go those that depend on
// request fields. session.go notes sessions, lock.go claims entries, once.go remembers what may
// be used once, ledger.go counts what a tenant's entries take, scan.go goes through all entries. remote.go has the short questions of hits, as bytes that are ready to be sent.
package redis

import (
	"errors"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/seal"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// Redis keeps entries and purge states in Redis 6 or later, or Valkey.
//
//	oc:{tenant}:e:<id>   an entry, as storage.Encode or storage.Seal writes it, with PX
//	oc:{tenant}:l:<id>   a lock: who asks the origin for the entry
//	oc:{tenant}:n:<hash> what a signature was used with, with PX
//	oc:{tenant}:marks    a sorted set: the tenant's purge state
//	oc:{tenant}:run      the run of the server that has written the two
//	oc:{tenant}:sessions a sorted set: what is known of sessions, hashed
//	oc:{tenant}:changes  a sorted set: which of them have changed of late
//	oc:{tenant}:ledger   a sorted set: what entries take, where the tenant has a quota
//
// The members of the sorted set are the marks, with the number of the purge as
// score, and three of its own: !e the epoch, !s the sequence, !f the floor. One
// key holds all, so that eviction or a restart loses all or nothing. It has no
// expiry, so that a volatile-* eviction policy leaves it alone.
type Redis struct {
	client  *resp.Client  // of one server, or of a master that sentinels know
	cluster *resp.Cluster // in its place
	limit   string        // most marks of a tenant
	ledgers *sync.Map     // of *ledger, by tenant: of those that have a quota
	ring    *seal.Ring    // of the keys by which entries are encrypted; nil: they are not
}

// New returns a storage on a client. It sends nothing yet.
func New(client *resp.Client, marks int) *Redis {
	return &Redis{client: client, limit: strconv.Itoa(marks), ledgers: &sync.Map{}}
}

// NewCluster returns a storage on a cluster. It sends nothing yet.
func NewCluster(cluster *resp.Cluster, marks int) *Redis {
	return &Redis{cluster: cluster, limit: strconv.Itoa(marks), ledgers: &sync.Map{}}
}

// Encrypt has entries encrypted from now on, before the storage is used.
func (s *Redis) Encrypt(ring *seal.Ring) *Redis {
	s.ring = ring
	return s
}

// Era implements Remote.
func (s *Redis) Era(tenant string) int64 {
	if s.cluster != nil {
		return s.cluster.Era(keys.Marks(tenant))
	}
	return (*resp.Client).Era(s.client)
}

// attachScript drops a tenant's purge state and sessions if they were written by
// another run of the server than the one that answers.
//
// KEYS[1] the run that the state is of, the state, the sessions; ARGV[1] the run that
// answers.
const attachScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('SET', KEYS[1], ARGV[1])
return 1`

// What is lost where a server does not tell what it is asked, see storage.Run.
const (
	lostRun = "Redis tells no run_id, since its user may not call INFO or it does not know one: a restart from an older snapshot, a failover to a " +
		"replica that lagged and a balancer in front of several servers are not noticed by it, and purges that are lost with them stay lost. " +
		"Allow the user +info; else purge everything after such an event"
	lostRole = "Redis does not tell its role, since its user may call neither ROLE nor HELLO: where sentinels name a replica as master, the " +
		"first write finds it out, and until then purges that it lacks are missed. Allow the user +role"
	lostServer = "connections to Redis lead to several servers in turn, as behind a balancer, or to one that starts over and over: nothing is cached " +
		"meanwhile, since each of them knows other purges. Expected the address of one server, or redis.sentinel or redis.cluster"
)

// Attach implements Remote. A tenant's purge state is dropped if another server answers: one
// that was restarted from a snapshot, or a replica that has taken over, may lack purges that
// were acknowledged. One that does not tell its run is taken for the same.
func (s *Redis) Attach(tenant string) (storage.Run, error) {
	get := resp.Command{Args: []string{"GET", keys.Run(tenant)}}
	replies, err := ask(s, get, resp.Command{Args: []string{"INFO", "server"}})
	if errors.Is(err, resp.ErrSeveral) {
		return storage.Run{Lost: []string{lostServer}}, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	if err != nil {
		return storage.Run{}, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	if err := firstError(replies, []resp.Command{get}); err != nil {
		return storage.Run{}, err
	}
	run := storage.Run{}
	if s.client != nil && s.client.Roleless() {
		run.Lost = append(run.Lost, lostRole)
	}
	found := resp.RunID(replies[1])
	if found == "" { // it may be an error, too
		run.Lost = append(run.Lost, lostRun)
		return run, nil
	}
	run.ID = found
	if found == string(replies[0].Body) {
		return run, nil
	}
	replies, err = s.do(resp.Command{Args: []string{
		"EVAL", attachScript, "3", keys.Run(tenant), keys.Marks(tenant), keys.Sessions(tenant), found,
	}})
	if err != nil {
		return storage.Run{}, err
	}
	run.Dropped = replies[0].Int == 1
	return run, nil
}

func (s *Redis) maxReply() int {
	if s.cluster != nil {
		return s.cluster.MaxReply()
	}
	return s.client.MaxReply()
}

// Stats implements Remote.
func (s *Redis) Stats() resp.Stats {
	if s.cluster != nil {
		return s.cluster.Stats()
	}
	return s.client.Stats()
}

// purgeScript starts a state if there is none or something else stands in its
// place, and unless ARGV[3] is "begin"
// takes the next number and marks with it. Numbers stay strings on their way
// through Lua, which would print a large one with an exponent.
//
// KEYS[1] the state; ARGV: new epoch, most marks, "begin", "mark" or "flush", members.
const purgeScript = `
local k = KEYS[1]
if redis.call('TYPE', k).ok ~= 'zset' or not redis.call('ZSCORE', k, '!e') then
  redis.call('DEL', k)
  redis.call('ZADD', k, ARGV[1], '!e', 1, '!s', 0, '!f')
end
if ARGV[3] ~= 'begin' then
  local s = redis.call('ZINCRBY', k, 1, '!s')
  if ARGV[3] == 'flush' then
    redis.call('ZREMRANGEBYSCORE', k, '-inf', '(' .. s)
    redis.call('ZADD', k, s, '!f')
  end
  for i = 4, #ARGV do redis.call('ZADD', k, s, ARGV[i]) end
  local most = tonumber(ARGV[2])
  local n = redis.call('ZCARD', k) - 3
  if n > most then
    local at = n - math.floor(most * 3 / 4)
    local last = redis.call('ZRANGE', k, at, at, 'WITHSCORES')[2]
    redis.call('ZREMRANGEBYSCORE', k, '-inf', last)
    redis.call('ZADD', k, last, '!f', s, '!s')
  end
end
return {redis.call('ZSCORE', k, '!e'), redis.call('ZSCORE', k, '!s')}`

// newNonce returns a number made up for one exchange, as 13 characters: those of all
// numbers with the first of 64 bits set, in base 36.
func newNonce() string {
	return strconv.FormatUint(rand.Uint64()|1<<63, 36)
}

// ask runs a pipeline in one round trip, and has the server repeat a number made up for
// it at the end: a position of purges, or what is known of a session, does not say whose
// it is, nor of when. All commands must be of one tenant. The reply to the last one is
// that number.
func ask(s *Redis, cmds ...resp.Command) ([]resp.Reply, error) {
	nonce := newNonce()
	cmds = append(cmds, resp.Command{Args: []string{"ECHO", nonce}, Want: nonce})
	if s.cluster != nil {
		return s.cluster.Do(cmds...)
	}
	return resp.Do(s.client, cmds)
}

// askExpected asks one server for a tenant's position, one score if that is not empty, and a
// large bulk, see resp.ExpectWords.
func askExpected(s *Redis, tenant, score, large string) (head storage.Head, found string, value []byte, state resp.Outcome) {
	if s.cluster != nil {
		return head, "", nil, resp.Differs
	}
	marks := keys.Marks(tenant)
	position := "*3\r\n$6\r\nZSCORE\r\n$" + strconv.Itoa(len(marks)) + "\r\n" + marks + "\r\n$2\r\n!"
	end := newNonce() + "\r\n"
	n := 2
	if score != "" {
		n = 3
	}
	list, value, state := resp.ExpectWords(s.client, time.Now(), []byte(position+"s\r\n"+position+"e\r\n"+score+large+echo+end), n, "\r\n$13\r\n"+end)
	if state != resp.Matches {
		return head, "", nil, state
	}
	seq, err := strconv.ParseUint(list[0], 10, 53)
	if err != nil {
		return head, "", nil, resp.Differs
	}
	epoch, err := strconv.ParseUint(list[1], 10, 53)
	if err != nil {
		return head, "", nil, resp.Differs
	}
	head.Seq, head.Epoch = int64(seq), int64(epoch)
	return head, list[n-1], value, state
}

// lookupParsed asks for an entry by commands whose replies are parsed. It is for answers that
// are not as they mostly are.
func lookupParsed(s *Redis, tenant, id string, state resp.Outcome) (*storage.Entry, storage.Head, error) {
	if state == resp.TimedOut {
		return unanswered(s, tenant, resp.ErrTimeout)
	}
	marks := keys.Marks(tenant)
	replies, err := ask(s,
		resp.Command{Args: []string{"ZSCORE", marks, "!s"}},
		resp.Command{Args: []string{"ZSCORE", marks, "!e"}},
		resp.Command{Args: []string{"GET", keys.Entry(tenant, id)}},
	)
	if err != nil {
		return unanswered(s, tenant, err)
	}
	head, err := headOf(replies[1], replies[0])
	if err != nil {
		return nil, head, err
	}
	return entryOf(s, tenant, id, replies[2], head)
}

// unanswered is the outcome of a lookup that came to nothing.
func unanswered(s *Redis, tenant string, err error) (*storage.Entry, storage.Head, error) {
	if errors.Is(err, resp.ErrTooLarge) { // not ours: no entry is that large
		return s.tooLarge(tenant)
	}
	return nil, storage.Head{}, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
}

// tooLarge asks for the position alone after a reply that was refused.
func (s *Redis) tooLarge(tenant string) (*storage.Entry, storage.Head, error) {
	head, err := s.Head(tenant)
	if err != nil {
		return nil, head, err
	}
	return nil, head, fmt.Errorf("%w: larger than redis.maxReplyBytes", storage.ErrCorrupt)
}

func entryOf(s *Redis, tenant, id string, r resp.Reply, head storage.Head) (*storage.Entry, storage.Head, error) {
	if r.Kind == resp.Error {
		return entryError(r, head)
	}
	if r.Null {
		return nil, head, nil
	}
	e, err := decode(s, tenant, id, r.Body)
	if err != nil {
		return nil, head, err
	}
	return e, head, nil
}

// decode reads what is stored under an identity.
func decode(s *Redis, tenant, id string, value []byte) (*storage.Entry, error) {
	if s.ring == nil {
		return storage.Decode(value)
	}
	return storage.Unseal(seal.KeysOf(s.ring, tenant), tenant, id, value)
}

// encode returns what is stored under an identity.
func encode(s *Redis, tenant, id string, e *storage.Entry) ([]byte, error) {
	if s.ring == nil {
		return storage.Encode(e)
	}
	return storage.Seal(seal.KeysOf(s.ring, tenant), tenant, id, e)
}

func entryError(r resp.Reply, head storage.Head) (*storage.Entry, storage.Head, error) {
	if resp.Code(r) == "WRONGTYPE" {
		return nil, head, fmt.Errorf("%w: another type of value", storage.ErrCorrupt)
	}
	return nil, storage.Head{}, fmt.Errorf("%w: GET: %v", storage.ErrUnavailable, resp.Err(r))
}

// set is the command that stores an entry.
func (s *Redis) set(tenant, id string, e *storage.Entry, ttl int64) (resp.Command, error) {
	value, err := encode(s, tenant, id, e)
	if err != nil {
		return resp.Command{}, err
	}
	if len(value) > s.maxReply() {
		return resp.Command{}, fmt.Errorf("%w: %d bytes could not be read again", storage.ErrTooLarge, len(value))
	}
	return resp.Command{
		Args: []string{"SET", keys.Entry(tenant, id)}, Body: value,
		Tail: []string{"PX", strconv.FormatInt(ttl, 10)},
	}, nil
}

// Remove implements Storage.
func (s *Redis) Remove(tenant string, ids []string) error {
	args := make([]string, 0, len(ids)+1)
	args = append(args, "DEL")
	for i := 0; i < len(ids); i++ {
		args = append(args, keys.Entry(tenant, ids[i]))
	}
	_, err := s.do(resp.Command{Args: args})
	return err
}

// dropScript drops entries, and the variants of those that are lists: the 17th line of
// what Encode calls meta is the status, which is 0 there, the 19th has their identities. Of one
// that is encrypted the first line has them.
//
// KEYS the entries; ARGV[1] what the key of an entry begins with.
const dropScript = `
local list = '^oc1 [^\n]*\n' .. string.rep('[^\n]*\n', 16) .. '0\n[^\n]*\n([^\n]*)\n'
local sealed = '^oc2 %S+ %S+ %S+ list([^\n]*)\n'
for i = 1, #KEYS do
  local entry = redis.pcall('GET', KEYS[i])
  if type(entry) == 'string' then
    for id in string.gmatch(string.match(entry, list) or string.match(entry, sealed) or '', '%S+') do redis.call('DEL', ARGV[1] .. id) end
  end
  redis.call('DEL', KEYS[i])
end
return 1`

// Drop implements Storage.
func (s *Redis) Drop(tenant string, ids []string) error {
	args := []string{"EVAL", dropScript, strconv.Itoa(len(ids))}
	for i := 0; i < len(ids); i++ {
		args = append(args, keys.Entry(tenant, ids[i]))
	}
	_, err := s.do(resp.Command{Args: append(args, keys.Entry(tenant, ""))})
	return err
}

// Head implements Storage.
func (s *Redis) Head(tenant string) (storage.Head, error) {
	marks := keys.Marks(tenant)
	replies, err := ask(s,
		resp.Command{Args: []string{"ZSCORE", marks, "!s"}},
		resp.Command{Args: []string{"ZSCORE", marks, "!e"}},
	)
	if err != nil {
		return storage.Head{}, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	head, err := headOf(replies[1], replies[0])
	if err != nil || head.Epoch != 0 {
		return head, err
	}
	return s.eval(tenant, "begin", nil)
}

// Marks implements Storage.
func (s *Redis) Marks(tenant string, since storage.Head) (storage.Delta, error) {
	d, err := s.members(tenant, "("+strconv.FormatInt(since.Seq, 10))
	if err != nil || d.Head.Epoch == 0 || d.Head.Epoch == since.Epoch {
		return d, err
	}
	// Another state: everything is wanted, not what is newer than a number of
	// the state that is gone.
	d, err = s.members(tenant, "-inf")
	d.Whole = true
	return d, err
}

// members reads the state's members with scores from least on. The commands of
// a pipeline may be interleaved with a purge or reset of another replica, so
// what is among the members counts: the epoch always, number and floor if they
// have changed since least.
func (s *Redis) members(tenant, least string) (storage.Delta, error) {
	marks := keys.Marks(tenant)
	d := storage.Delta{}
	cmds := []resp.Command{
		{Args: []string{"ZSCORE", marks, "!s"}},
		{Args: []string{"ZSCORE", marks, "!f"}},
		{Args: []string{"ZRANGEBYSCORE", marks, least, "+inf", "WITHSCORES"}},
	}
	replies, err := ask(s, cmds...)
	if err != nil {
		return d, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	if resp.Code(replies[2]) == "WRONGTYPE" {
		return d, nil
	}
	if d.Head.Seq, err = number64(replies[0], "number"); err != nil {
		return d, err
	}
	if d.Floor, err = number64(replies[1], "floor"); err != nil {
		return d, err
	}
	if err := firstError(replies, cmds); err != nil {
		return d, err
	}
	items := replies[2].Items
	for i := 0; i+1 < len(items); i += 2 {
		member := string(items[i].Body)
		seq, err := number64(items[i+1], "score")
		if err != nil {
			return d, err
		}
		switch {
		case member == "!e":
			d.Head.Epoch = seq
		case member == "!s":
			d.Head.Seq = seq
		case member == "!f":
			d.Floor = seq
		case len(member) > 3 && member[2] == ':':
			mark, known := openedMark(s, tenant, member)
			if known {
				d.Marks = append(d.Marks, storage.Mark{Member: mark, Seq: seq})
			} else if seq > d.Floor { // whatever it purges
				d.Floor = seq
			}
		}
	}
	if d.Head.Epoch == 0 {
		return storage.Delta{}, nil
	}
	return d, nil
}

// Purge implements Storage.
func (s *Redis) Purge(tenant string, p storage.Purge) (storage.Head, error) {
	how := "mark"
	if p.All && !p.Soft {
		how = "flush"
	}
	members, err := sealedMarks(s, tenant, p.Members)
	if err != nil {
		return storage.Head{}, err
	}
	return s.eval(tenant, how, members)
}

// A mark of a prefix says what paths and hosts there are. Where entries are encrypted, so is the prefix.

// sealedSign stands before a prefix that is encrypted. No prefix begins with it.
const sealedSign = "="

// isPrefix reports whether a mark is one of a prefix.
func isPrefix(member string) bool {
	return strings.HasPrefix(member, storage.HardPrefix) || strings.HasPrefix(member, storage.SoftPrefix)
}

// sealedMarks returns marks as they are stored.
func sealedMarks(s *Redis, tenant string, members []string) ([]string, error) {
	if s.ring == nil {
		return members, nil
	}
	out := append([]string{}, members...)
	for i := 0; i < len(out); i++ {
		if !isPrefix(out[i]) {
			continue
		}
		k := seal.KeysOf(s.ring, tenant)
		if k == nil {
			return nil, fmt.Errorf("%w: no key of tenant %s to encrypt a purge with", storage.ErrUnavailable, tenant)
		}
		out[i] = out[i][:3] + sealedSign + seal.SealText(k.Write, out[i][3:])
	}
	return out, nil
}

// openedMark returns a mark as it was given. It is not known if there is no key for it.
func openedMark(s *Redis, tenant, member string) (mark string, known bool) {
	if !isPrefix(member) || !strings.HasPrefix(member[3:], sealedSign) {
		return member, true
	}
	if s.ring == nil {
		return "", false
	}
	k := seal.KeysOf(s.ring, tenant)
	if k == nil {
		return "", false
	}
	prefix, known := seal.OpenText(k, member[4:])
	return member[:3] + prefix, known
}

// Reset implements Storage.
func (s *Redis) Reset(tenant string) (storage.Head, error) {
	if _, err := s.do(resp.Command{Args: []string{"DEL", keys.Marks(tenant)}}); err != nil {
		return storage.Head{}, err
	}
	return s.eval(tenant, "begin", nil)
}

// Close implements Storage.
func (s *Redis) Close() {
	if s.cluster != nil {
		s.cluster.Close()
		return
	}
	s.client.Close()
}

func (s *Redis) eval(tenant, how string, members []string) (storage.Head, error) {
	args := []string{"EVAL", purgeScript, "1", keys.Marks(tenant), strconv.FormatInt(storage.NewEpoch(), 10), s.limit, how}
	replies, err := s.do(resp.Command{Args: append(args, members...)})
	if err != nil {
		return storage.Head{}, err
	}
	if len(replies[0].Items) != 2 {
		return storage.Head{}, fmt.Errorf("%w: a purge was answered with %d values", storage.ErrUnavailable, len(replies[0].Items))
	}
	return headOf(replies[0].Items[0], replies[0].Items[1])
}

// do runs a pipeline in which every reply must be free of errors.
func (s *Redis) do(cmds ...resp.Command) ([]resp.Reply, error) {
	replies, err := ask(s, cmds...)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	return replies, firstError(replies, cmds)
}

// firstError returns the first error among replies, with the command that it answers.
func firstError(replies []resp.Reply, cmds []resp.Command) error {
	for i := 0; i < len(cmds); i++ {
		if replies[i].Kind == resp.Error {
			return refusedError(replies[i], cmds[i].Args[0])
		}
	}
	return nil
}

func refusedError(r resp.Reply, what string) error {
	return fmt.Errorf("%w: %w: %s: %v", storage.ErrUnavailable, storage.ErrRefused, what, resp.Err(r))
}

// headOf reads an epoch and a number, two scores. No epoch means no state, and
// so does a value of another type: what stood there is lost. Where the two are
// read one after the other the number must come first: with the epoch of a
// state that is gone, the number of a new one could pass for a known position.
func headOf(epoch, seq resp.Reply) (storage.Head, error) {
	e, err := strconv.ParseUint(string(epoch.Body), 10, 53)
	if err != nil {
		return parsedHead(epoch, seq)
	}
	n, err := strconv.ParseUint(string(seq.Body), 10, 53)
	if err != nil {
		return parsedHead(epoch, seq)
	}
	return storage.Head{Epoch: int64(e), Seq: int64(n)}, nil
}

// parsedHead reads a position that is not as it mostly is.
func parsedHead(epoch, seq resp.Reply) (storage.Head, error) {
	if epoch.Null || seq.Null || resp.Code(epoch) == "WRONGTYPE" || resp.Code(seq) == "WRONGTYPE" {
		return storage.Head{}, nil
	}
	e, err := number64(epoch, "epoch")
	if err != nil {
		return storage.Head{}, err
	}
	n, err := number64(seq, "number")
	return storage.Head{Epoch: e, Seq: n}, err
}

// number64 reads a score, 0 if there is none.
func number64(r resp.Reply, what string) (int64, error) {
	if r.Null || resp.Code(r) == "WRONGTYPE" {
		return 0, nil
	}
	if err := resp.Err(r); err != nil {
		return 0, fmt.Errorf("%w: purge state: %v", storage.ErrUnavailable, err)
	}
	n, err := strconv.ParseFloat(string(r.Body), 64)
	if err != nil || !(n >= 0 && n < 1<<53) {
		return 0, fmt.Errorf("%w: purge state: %s %q", storage.ErrUnavailable, what, r.Body)
	}
	return int64(n), nil
}
