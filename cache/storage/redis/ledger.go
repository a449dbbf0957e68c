package redis

import (
	"fmt"
	"math/rand"
	"strconv"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// What a tenant's entries take is counted where it has a quota, in a key that all Traefiks know: the
// ledger. It is a sorted set with the identity of each entry. The score says when the entry ends and
// what it takes, so the first ones end first. One more member, !, has the sum, as a score below zero.
//
// Whatever happens to an entry otherwise (Redis evicts it, it is removed) leaves a member of which
// there is no entry. Each store looks at a few members, somewhere, and drops those: the more of them
// there are, the faster they go. What has ended goes first. An entry that was stored before there was
// a quota is not counted until it is stored again, or ends.

// ledger is a tenant's quota, and what came of it here.
type ledger struct {
	quota   storage.Quota
	evicted atomic.Int64 // entries, by this process
}

// What a score is made of: parts of a second since scoreEpoch, and units. It stays below 2^53, up to
// which all numbers are exact, until 2054.
const (
	unitBytes  = 1024
	maxUnits   = 1 << 18 // 256 MiB
	parts      = 32
	scoreEpoch = 1577836800000 // Unix ms
)

// entryBytes is about what an entry takes in Redis beside its value: the key, that in the ledger, and
// structures.
const entryBytes = 600

// storeScript stores an entry of a tenant with a quota. If that is too much, those of the tenant go
// that end first, some at once. If that is not enough, nothing is stored. It returns 0 then, else 1
// and how many have gone.
//
// KEYS[1] the ledger, KEYS[2] the entry, KEYS[3] its lock, if there is one; ARGV: the value, ms, the
// identity, its units, its score, the score of what ends now, most units, most entries (0: any
// number), a number made up, what the key of an entry begins with, the token of the lock.
const storeScript = `
local k, id, base = KEYS[1], ARGV[3], ARGV[10]
local need, most, count = tonumber(ARGV[4]), tonumber(ARGV[7]), tonumber(ARGV[8])
local function units(score) return tonumber(score) % 262144 end
local sum = redis.pcall('ZSCORE', k, '!')
if type(sum) ~= 'string' then
  redis.call('DEL', k)
  redis.call('ZADD', k, -1, '!')
  sum = -1
end
local used = -sum - 1
local ended = redis.call('ZRANGEBYSCORE', k, 0, '(' .. ARGV[6], 'WITHSCORES', 'LIMIT', 0, 16)
for i = 2, #ended, 2 do used = used - units(ended[i]) end
if #ended > 0 then redis.call('ZREMRANGEBYRANK', k, 1, #ended / 2) end
local n = redis.call('ZCARD', k) - 1
if n > 0 then
  local at = 1 + tonumber(ARGV[9]) % n
  local some = redis.call('ZRANGE', k, at, at + 3, 'WITHSCORES')
  local there = {}
  for i = 1, #some, 2 do there[#there + 1] = base .. some[i] end
  local whole = redis.call('EXISTS', unpack(there)) == #there
  for i = whole and 0 or #some - 1, 1, -2 do
    if redis.call('EXISTS', base .. some[i]) == 0 then
      local rank = at + (i - 1) / 2
      redis.call('ZREMRANGEBYRANK', k, rank, rank)
      used, n = used - units(some[i + 1]), n - 1
    end
  end
end
local own, mine = 0, redis.call('ZSCORE', k, id)
if mine then own, n = units(mine), n - 1 end
used = used - own
if n == 0 or used < 0 then used = 0 end
local gone, at = 0, 1
while gone < 32 and n > 0 and need <= most and (used + need > most or count > 0 and n >= count) do
  local first = redis.call('ZRANGE', k, at, at, 'WITHSCORES')
  if first[1] == id then
    at = 2
  else
    redis.call('DEL', base .. first[1])
    redis.call('ZREMRANGEBYRANK', k, at, at)
    used, n, gone = used - units(first[2]), n - 1, gone + 1
  end
end
if used + need > most or count > 0 and n >= count then
  redis.call('ZADD', k, -1 - used - own, '!')
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', k, ARGV[5], id, -1 - used - need, '!')
if KEYS[3] and redis.call('GET', KEYS[3]) == ARGV[11] then redis.call('DEL', KEYS[3]) end
return 1 + gone`

// usageScript drops what has ended, and returns how many entries there are, and their units.
//
// KEYS[1] the ledger; ARGV[1] the score of what ends now.
const usageScript = `
local k = KEYS[1]
if redis.call('TYPE', k).ok ~= 'zset' or not redis.call('ZSCORE', k, '!') then return {0, 0} end
local ended = redis.call('ZRANGEBYSCORE', k, 0, '(' .. ARGV[1], 'WITHSCORES', 'LIMIT', 0, 1000)
local freed = 0
for i = 2, #ended, 2 do freed = freed + tonumber(ended[i]) % 262144 end
if #ended > 0 then
  redis.call('ZREMRANGEBYRANK', k, 1, #ended / 2)
  redis.call('ZINCRBY', k, freed, '!')
end
return {redis.call('ZCARD', k) - 1, -redis.call('ZSCORE', k, '!') - 1}`

// Limit implements Remote. It asks nothing: what there is goes as more is stored.
func (s *Redis) Limit(tenant string, q storage.Quota) {
	l := ledgerOf(s, tenant)
	switch {
	case q.Bytes == 0 && q.Entries == 0:
		s.ledgers.Delete(tenant)
	case l == nil || l.quota != q:
		s.ledgers.Store(tenant, &ledger{quota: q})
	}
}

// ledgerOf returns a tenant's, nil if it has no quota.
func ledgerOf(s *Redis, tenant string) *ledger {
	l, found := s.ledgers.Load(tenant)
	if !found {
		return nil
	}
	return l.(*ledger)
}

// Store implements Storage.
func (s *Redis) Store(tenant, id string, e *storage.Entry, ttl int64) error {
	set, err := s.set(tenant, id, e, ttl)
	if err != nil {
		return err
	}
	if l := ledgerOf(s, tenant); l != nil {
		return storeCounted(s, l, tenant, id, set, ttl, e.IsList(), nil)
	}
	_, err = s.do(set)
	return err
}

// storeCounted stores an entry of a tenant with a quota, and gives its lock back, if that is not
// nil: one round trip.
func storeCounted(s *Redis, c *ledger, tenant, id string, set resp.Command, ttl int64, list bool, l *storage.Lock) error {
	units := (int64(len(set.Body))+entryBytes)/unitBytes + 1
	if units >= maxUnits {
		return fmt.Errorf("%w: %d bytes", storage.ErrQuota, len(set.Body))
	}
	most := c.quota.Bytes / unitBytes
	if most == 0 {
		most = 1 << 50
	}
	now := storage.NowMS()
	end := endScore(now + ttl)
	if list {
		end += maxUnits // it goes after the page that was stored before it, which nobody finds without it
	}
	args := []string{"EVAL", storeScript, "2", keys.Ledger(tenant), keys.Entry(tenant, id)}
	token := ""
	if l != nil {
		args[2] = "3"
		args = append(args, keys.Lock(tenant, l.ID))
		token = l.Token
	}
	replies, err := s.do(resp.Command{Args: args, Body: set.Body, Tail: []string{
		set.Tail[1], id, strconv.FormatInt(units, 10), strconv.FormatInt(end+units, 10), strconv.FormatInt(endScore(now), 10),
		strconv.FormatInt(most, 10), strconv.Itoa(c.quota.Entries), strconv.FormatInt(rand.Int63n(1<<40), 10), keys.Entry(tenant, ""), token,
	}})
	if err != nil {
		return err
	}
	if replies[0].Int == 0 {
		return fmt.Errorf("%w: %s", storage.ErrQuota, tenant)
	}
	c.evicted.Add(replies[0].Int - 1)
	return nil
}

// endScore is the least score of what ends at a time in Unix ms.
func endScore(ms int64) int64 {
	if ms < scoreEpoch {
		return 0
	}
	return (ms - scoreEpoch) * parts / 1000 * maxUnits
}

// Usage implements Remote.
func (s *Redis) Usage(tenant string) (u storage.Usage, counted bool, err error) {
	l := ledgerOf(s, tenant)
	if l == nil {
		return u, false, nil
	}
	replies, err := s.do(resp.Command{Args: []string{"EVAL", usageScript, "1", keys.Ledger(tenant), strconv.FormatInt(endScore(storage.NowMS()), 10)}})
	if err != nil {
		return u, true, err
	}
	if len(replies[0].Items) != 2 {
		return u, true, fmt.Errorf("%w: a ledger of %d values", storage.ErrUnavailable, len(replies[0].Items))
	}
	u.Entries = int(replies[0].Items[0].Int)
	u.Bytes = replies[0].Items[1].Int * unitBytes
	u.Evicted = l.evicted.Load()
	return u, true, nil
}
