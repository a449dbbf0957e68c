package storage

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/redis"
	"github.com/odoocache/odoocache/keys"
)

// Redis keeps entries and purge states in Redis 6 or later, or Valkey.
//
//	oc:{tenant}:e:<id>   an entry, as Encode writes it, with PX
//	oc:{tenant}:marks    a sorted set: the tenant's purge state
//
// The members of the sorted set are the marks, with the number of the purge as
// score, and three of its own: !e the epoch, !s the sequence, !f the floor. One
// key holds all, so that eviction or a restart loses all or nothing. It has no
// expiry, so that a volatile-* eviction policy leaves it alone.
type Redis struct {
	client *redis.Client
	limit  string // most marks of a tenant
}

// NewRedis returns a storage on a client. It sends nothing yet.
func NewRedis(client *redis.Client, marks int) *Redis {
	return &Redis{client: client, limit: strconv.Itoa(marks)}
}

// Client returns the client behind the storage, for its counters.
func (s *Redis) Client() *redis.Client {
	return s.client
}

// purgeScript starts a state if there is none, and unless ARGV[3] is "begin"
// takes the next number and marks with it. Numbers stay strings on their way
// through Lua, which would print a large one with an exponent.
//
// KEYS[1] the state; ARGV: new epoch, most marks, "begin", "mark" or "flush", members.
const purgeScript = `
local k = KEYS[1]
if not redis.call('ZSCORE', k, '!e') then
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

// Lookup implements Storage: one round trip for the entry and the position.
func (s *Redis) Lookup(tenant, id string) (*Entry, Head, error) {
	marks := keys.Marks(tenant)
	replies, err := s.client.Do(
		redis.Command{Args: []string{"GET", keys.Entry(tenant, id)}},
		redis.Command{Args: []string{"ZSCORE", marks, "!e"}},
		redis.Command{Args: []string{"ZSCORE", marks, "!s"}},
	)
	if errors.Is(err, redis.ErrTooLarge) { // not ours: no entry is that large
		head, err := s.Head(tenant)
		if err != nil {
			return nil, head, err
		}
		return nil, head, fmt.Errorf("%w: larger than redis.maxReplyBytes", ErrCorrupt)
	}
	if err != nil {
		return nil, Head{}, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	if err := firstError(replies[1:], "ZSCORE"); err != nil {
		return nil, Head{}, err
	}
	head, err := headOf(replies[1], replies[2])
	if err != nil || replies[0].Null {
		return nil, head, err
	}
	if redis.Code(replies[0]) == "WRONGTYPE" {
		return nil, head, fmt.Errorf("%w: another type of value", ErrCorrupt)
	}
	if err := firstError(replies[:1], "GET"); err != nil {
		return nil, Head{}, err
	}
	e, err := Decode(replies[0].Body)
	if err != nil {
		return nil, head, err
	}
	return e, head, nil
}

// Store implements Storage.
func (s *Redis) Store(tenant, id string, e *Entry, ttl int64) error {
	value, err := Encode(e)
	if err != nil {
		return err
	}
	_, err = s.do(redis.Command{
		Args: []string{"SET", keys.Entry(tenant, id)}, Body: value,
		Tail: []string{"PX", strconv.FormatInt(ttl, 10)},
	})
	return err
}

// Remove implements Storage.
func (s *Redis) Remove(tenant string, ids []string) error {
	args := make([]string, 0, len(ids)+1)
	args = append(args, "DEL")
	for i := 0; i < len(ids); i++ {
		args = append(args, keys.Entry(tenant, ids[i]))
	}
	_, err := s.do(redis.Command{Args: args})
	return err
}

// Head implements Storage.
func (s *Redis) Head(tenant string) (Head, error) {
	marks := keys.Marks(tenant)
	replies, err := s.do(
		redis.Command{Args: []string{"ZSCORE", marks, "!e"}},
		redis.Command{Args: []string{"ZSCORE", marks, "!s"}},
	)
	if err != nil {
		return Head{}, err
	}
	head, err := headOf(replies[0], replies[1])
	if err != nil || head.Epoch != 0 {
		return head, err
	}
	return s.eval(tenant, "begin", nil)
}

// Marks implements Storage.
func (s *Redis) Marks(tenant string, since Head) (Delta, error) {
	marks := keys.Marks(tenant)
	replies, err := s.do(
		redis.Command{Args: []string{"ZSCORE", marks, "!e"}},
		redis.Command{Args: []string{"ZSCORE", marks, "!f"}},
		redis.Command{Args: []string{"ZRANGEBYSCORE", marks, "(" + strconv.FormatInt(since.Seq, 10), "+inf", "WITHSCORES"}},
	)
	if err != nil {
		return Delta{}, err
	}
	d, err := s.delta(replies, since)
	if err != nil || d.Head.Epoch == 0 || d.Head.Epoch == since.Epoch {
		return d, err
	}
	// Another state: everything is wanted, not what is newer than a number of
	// the state that is gone.
	whole, err := s.do(
		redis.Command{Args: []string{"ZSCORE", marks, "!e"}},
		redis.Command{Args: []string{"ZSCORE", marks, "!f"}},
		redis.Command{Args: []string{"ZRANGEBYSCORE", marks, "-inf", "+inf", "WITHSCORES"}},
	)
	if err != nil {
		return Delta{}, err
	}
	d, err = s.delta(whole, Head{})
	d.Whole = true
	return d, err
}

// delta reads the replies for epoch, floor and members. The commands of a
// pipeline may be interleaved with a purge of another replica; the members
// come last, so they have at least what the epoch and floor stand for.
func (s *Redis) delta(replies []redis.Reply, since Head) (Delta, error) {
	d := Delta{}
	head, err := headOf(replies[0], replies[1])
	if err != nil {
		return d, err
	}
	if head.Epoch == 0 {
		return d, nil
	}
	d.Head.Epoch, d.Floor = head.Epoch, head.Seq
	d.Head.Seq = since.Seq
	items := replies[2].Items
	for i := 0; i+1 < len(items); i += 2 {
		member, score := string(items[i].Body), string(items[i+1].Body)
		seq, err := strconv.ParseFloat(score, 64)
		if err != nil {
			return d, fmt.Errorf("%w: purge state: score %q", ErrUnavailable, score)
		}
		switch {
		case member == "!s":
			d.Head.Seq = int64(seq)
		case member == "!f":
			d.Floor = int64(seq)
		case strings.HasPrefix(member, "!"):
		case len(member) > 3 && member[2] == ':':
			d.Marks = append(d.Marks, Mark{Member: member, Seq: int64(seq)})
		}
	}
	return d, nil
}

// Purge implements Storage.
func (s *Redis) Purge(tenant string, p Purge) (Head, error) {
	how := "mark"
	if p.All && !p.Soft {
		how = "flush"
	}
	return s.eval(tenant, how, p.Members)
}

// Reset implements Storage.
func (s *Redis) Reset(tenant string) (Head, error) {
	if _, err := s.do(redis.Command{Args: []string{"DEL", keys.Marks(tenant)}}); err != nil {
		return Head{}, err
	}
	return s.eval(tenant, "begin", nil)
}

// Close implements Storage.
func (s *Redis) Close() {
	s.client.Close()
}

func (s *Redis) eval(tenant, how string, members []string) (Head, error) {
	args := []string{"EVAL", purgeScript, "1", keys.Marks(tenant), strconv.FormatInt(newEpoch(), 10), s.limit, how}
	replies, err := s.do(redis.Command{Args: append(args, members...)})
	if err != nil {
		return Head{}, err
	}
	if len(replies[0].Items) != 2 {
		return Head{}, fmt.Errorf("%w: a purge was answered with %d values", ErrUnavailable, len(replies[0].Items))
	}
	return headOf(replies[0].Items[0], replies[0].Items[1])
}

// do runs a pipeline in which every reply must be free of errors.
func (s *Redis) do(cmds ...redis.Command) ([]redis.Reply, error) {
	replies, err := s.client.Do(cmds...)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return replies, firstError(replies, cmds[0].Args[0])
}

func firstError(replies []redis.Reply, what string) error {
	for i := 0; i < len(replies); i++ {
		if err := redis.Err(replies[i]); err != nil {
			return fmt.Errorf("%w: %s: %v", ErrUnavailable, what, err)
		}
	}
	return nil
}

// headOf reads an epoch and a number, two scores. No epoch means no state.
func headOf(epoch, seq redis.Reply) (Head, error) {
	if epoch.Null || seq.Null {
		return Head{}, nil
	}
	e, err := strconv.ParseFloat(string(epoch.Body), 64)
	if err != nil || e <= 0 {
		return Head{}, fmt.Errorf("%w: purge state: epoch %q", ErrUnavailable, epoch.Body)
	}
	n, err := strconv.ParseFloat(string(seq.Body), 64)
	if err != nil || n < 0 {
		return Head{}, fmt.Errorf("%w: purge state: number %q", ErrUnavailable, seq.Body)
	}
	return Head{Epoch: int64(e), Seq: int64(n)}, nil
}
