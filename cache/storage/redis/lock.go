package redis

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// A lock is a key with an expiry whose value is the owner's token: SET NX PX, and
// deleted only if the value is still the token. One Redis is enough for it, since
// nothing goes wrong if two processes believe to have it.

// refusedToken stands in a lock whose owner got an answer that cannot be stored.
const refusedToken = "!"

const unlockScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], '!', 'PX', ARGV[2])
return 1`

// claimScript returns an entry, and claims the lock if there is none: nil if it was
// claimed, empty if it is another's.
//
// KEYS[1] the entry, KEYS[2] the lock; ARGV[1] the token, ARGV[2] ms.
const claimScript = `
local entry = redis.call('GET', KEYS[1])
if entry then return entry ~= '' and entry or '-' end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
return ''`

// unlockCommand is how unlockScript is sent, but for the key and arguments.
var unlockCommand = "*6\r\n$4\r\nEVAL\r\n$" + strconv.Itoa(len(unlockScript)) + "\r\n" + unlockScript + "\r\n$1\r\n1\r\n"

// claimCommand is how claimScript is sent, but for the keys and arguments.
var claimCommand = "*7\r\n$4\r\nEVAL\r\n$" + strconv.Itoa(len(claimScript)) + "\r\n" + claimScript + "\r\n$1\r\n2\r\n"

// claim asks for an entry, or the lock.
func claim(s *Redis, tenant string, l *storage.Lock, ms string) (e *storage.Entry, head storage.Head, locked bool, err error) {
	entry := keys.Entry(tenant, l.ID)
	lock := keys.Lock(tenant, l.ID)
	if s.cluster != nil {
		return claimParsed(s, tenant, l, ms)
	}
	head, _, value, state := askExpected(s, tenant, "", fmt.Sprintf("%s$%d\r\n%s\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n",
		claimCommand, len(entry), entry, len(lock), lock, len(l.Token), l.Token, len(ms), ms))
	if state != resp.Matches { // if it was claimed, the lock has the token
		e, head, err = lookupParsed(s, tenant, l.ID, state)
		return e, head, false, err
	}
	if len(value) == 0 {
		return nil, head, value == nil, nil
	}
	e, err = decode(s, tenant, l.ID, value)
	if err != nil {
		return nil, head, false, err
	}
	return e, head, false, nil
}

// claimParsed asks for an entry and claims its lock by commands whose replies are parsed.
func claimParsed(s *Redis, tenant string, l *storage.Lock, ms string) (e *storage.Entry, head storage.Head, locked bool, err error) {
	marks := keys.Marks(tenant)
	replies, err := ask(s,
		resp.Command{Args: []string{"ZSCORE", marks, "!s"}},
		resp.Command{Args: []string{"ZSCORE", marks, "!e"}},
		resp.Command{Args: []string{"EVAL", claimScript, "2", keys.Entry(tenant, l.ID), keys.Lock(tenant, l.ID), l.Token, ms}},
	)
	if err == nil && replies[2].Kind == resp.Error { // it may be looked up all the same
		e, head, err = lookupParsed(s, tenant, l.ID, resp.Differs)
		return e, head, false, err
	}
	if err == nil {
		head, err = headOf(replies[1], replies[0])
	}
	if err != nil {
		e, head, err = unanswered(s, tenant, err)
		return e, head, false, err
	}
	if replies[2].Null || len(replies[2].Body) == 0 {
		return nil, head, replies[2].Null, nil
	}
	e, head, err = entryOf(s, tenant, l.ID, replies[2], head)
	return e, head, false, err
}

// exactly sends commands in the short way and reports whether they were answered as
// expected, see resp.Expect.
func exactly(s *Redis, tenant string, request []byte, replies int, expect string) resp.Outcome {
	nonce := newNonce()
	request = append(request, echo+nonce+"\r\n"...)
	e := &resp.Expected{Request: request, Replies: replies + 1, Lead: expect, End: "$13\r\n" + nonce + "\r\n"}
	if s.cluster != nil {
		_, state := s.cluster.Expect(keys.Marks(tenant), s.Era(tenant), time.Now(), e)
		return state
	}
	_, state := resp.Expect(s.client, (*resp.Client).Era(s.client), time.Now(), e)
	return state
}

// lockFormat are the commands of a claim as they are sent: SET NX PX, GET, EXISTS.
const lockFormat = "*6\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$2\r\nNX\r\n$2\r\nPX\r\n$%d\r\n%s\r\n" +
	"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n*2\r\n$6\r\nEXISTS\r\n$%d\r\n%s\r\n"

// Lock implements Storage: one round trip.
func (s *Redis) Lock(tenant string, l *storage.Lock, ttl int64) (storage.LockState, error) {
	key := keys.Lock(tenant, l.ID)
	entry := keys.Entry(tenant, l.ID)
	ms := strconv.FormatInt(ttl, 10)
	request := fmt.Sprintf(lockFormat, len(key), key, len(l.Token), l.Token, len(ms), ms, len(key), key, len(entry), entry)
	switch exactly(s, tenant, []byte(request), 3, fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n:0\r\n", len(l.Token), l.Token)) {
	case resp.Matches:
		return storage.LockClaimed, nil
	case resp.TimedOut:
		return storage.LockUnknown, fmt.Errorf("%w: %w", storage.ErrUnavailable, resp.ErrTimeout)
	}
	cmds := []resp.Command{
		{Args: []string{"SET", key, l.Token, "NX", "PX", ms}}, {Args: []string{"GET", key}}, {Args: []string{"EXISTS", entry}},
	}
	replies, err := ask(s, cmds...)
	if err != nil {
		return storage.LockUnknown, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	if replies[1].Kind == resp.Error && resp.Code(replies[1]) == "WRONGTYPE" { // something else stands in its place
		return storage.LockUnknown, s.remove(key)
	}
	if err := firstError(replies, cmds); err != nil {
		return storage.LockUnknown, err
	}
	// An earlier claim of the owner may have been heard though its answer was not, or
	// not been given back.
	owned := string(replies[1].Body) == l.Token
	switch {
	case owned && replies[2].Int == 1:
		return storage.LockStored, nil
	case owned:
		return storage.LockClaimed, nil
	case string(replies[1].Body) == refusedToken:
		return storage.LockRefused, nil
	}
	return storage.LockHeld, nil
}

func (s *Redis) remove(key string) error {
	_, err := s.do(resp.Command{Args: []string{"DEL", key}})
	return err
}

func unlock(tenant string, l *storage.Lock, refused int64) resp.Command {
	return resp.Command{Args: []string{"EVAL", unlockScript, "1", keys.Lock(tenant, l.ID), l.Token, strconv.FormatInt(refused, 10)}}
}

// Unlock implements Storage.
func (s *Redis) Unlock(tenant string, l *storage.Lock, refused int64) error {
	_, err := s.do(unlock(tenant, l, refused))
	return err
}

// StoreAndUnlock implements Storage: one round trip. A lock that is not given back
// expires, so only what becomes of the entry counts.
func (s *Redis) StoreAndUnlock(tenant, id string, e *storage.Entry, ttl int64, l *storage.Lock) error {
	set, err := s.set(tenant, id, e, ttl)
	if err != nil {
		return err
	}
	if c := ledgerOf(s, tenant); c != nil {
		return storeCounted(s, c, tenant, id, set, ttl, e.IsList(), l)
	}
	if len(set.Body) < flatBody {
		lock := keys.Lock(tenant, l.ID)
		release := fmt.Sprintf("%s$%d\r\n%s\r\n$%d\r\n%s\r\n$1\r\n0\r\n", unlockCommand, len(lock), lock, len(l.Token), l.Token)
		switch exactly(s, tenant, append(flatSet(set), release...), 2, "+OK\r\n:1\r\n") {
		case resp.Matches:
			return nil
		case resp.TimedOut:
			return fmt.Errorf("%w: %w", storage.ErrUnavailable, resp.ErrTimeout)
		}
	}
	replies, err := ask(s, set, unlock(tenant, l, 0))
	if err != nil {
		return fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	return firstError(replies, []resp.Command{set})
}

// flatBody is the size in bytes from which a body is not copied to be sent.
const flatBody = 128 << 10

// flatSet is a command to store an entry as it is sent.
func flatSet(set resp.Command) []byte {
	key := set.Args[1]
	ttl := set.Tail[1]
	head := fmt.Sprintf("*5\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", len(key), key, len(set.Body))
	tail := fmt.Sprintf("\r\n$2\r\nPX\r\n$%d\r\n%s\r\n", len(ttl), ttl)
	return bytes.Join([][]byte{[]byte(head), set.Body, []byte(tail)}, nil)
}
