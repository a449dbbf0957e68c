package redis

import (
	"fmt"
	"strconv"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// What is known of a session is one number, the score of its hash in a sorted
// set: the Unix time in ms until which it is known, made even for a default
// session and odd for a special one. A session that is not in the set is
// unknown, and an unknown session is treated like a special one: so it does no
// harm to lose a member, or the whole set.
//
// A mark as special replaces the note of a beginning, and is made of nothing else: so
// whoever makes ids up adds nothing to the set. For that no note of a beginning may
// come after a mark that found nothing. A command that was sent can arrive after its
// sender has given up waiting, so a beginning takes two: the first notes that the
// session is about to begin, which counts as special, and only if that was answered the
// second makes a default one of exactly this note. Whichever of them is late, a mark
// that the visitor's later requests make finds the note, or the second command does
// not.

// visit asks for an entry, unless id is empty, and for a session.
func visit(s *Redis, tenant, id, session string) (*storage.Entry, storage.Head, storage.SessionKind, error) {
	key := keys.Sessions(tenant)
	score := "*3\r\n$6\r\nZSCORE\r\n$" + strconv.Itoa(len(key)) + "\r\n" + key + "\r\n$" + strconv.Itoa(len(session)) + "\r\n" + session + "\r\n"
	if id == "" {
		head, _, found, state := askExpected(s, tenant, "", score)
		if n := known(string(found)); state == resp.Matches && n >= 0 {
			return nil, head, storage.KindOfScore(n, storage.NowMS()), nil
		}
		return visitParsed(s, tenant, "", session, state)
	}
	key = keys.Entry(tenant, id)
	head, found, value, state := askExpected(s, tenant, score, "*2\r\n$3\r\nGET\r\n$"+strconv.Itoa(len(key))+"\r\n"+key+"\r\n")
	n := known(found)
	if state != resp.Matches || n < 0 {
		return visitParsed(s, tenant, key, session, state)
	}
	if value == nil {
		return nil, head, storage.KindOfScore(n, storage.NowMS()), nil
	}
	e, err := storage.Decode(value)
	if err != nil {
		return nil, head, storage.KindOfScore(n, storage.NowMS()), err
	}
	return e, head, storage.KindOfScore(n, storage.NowMS()), nil
}

// known reads a session's score, 0 if there is none, and -1 if it is something else.
func known(score string) int64 {
	if score == "" {
		return 0
	}
	n, err := strconv.ParseUint(score, 10, 53)
	if err != nil {
		return -1
	}
	return int64(n)
}

// visitParsed asks for an entry and a session by commands whose replies are parsed.
func visitParsed(s *Redis, tenant, key, session string, state resp.Outcome) (*storage.Entry, storage.Head, storage.SessionKind, error) {
	if state == resp.TimedOut {
		e, head, err := unanswered(s, tenant, resp.ErrTimeout)
		return e, head, storage.SessionUnknown, err
	}
	marks := keys.Marks(tenant)
	commands := []resp.Command{
		{Args: []string{"ZSCORE", marks, "!s"}},
		{Args: []string{"ZSCORE", marks, "!e"}},
		{Args: []string{"ZSCORE", keys.Sessions(tenant), session}},
	}
	if key != "" {
		commands = append(commands, resp.Command{Args: []string{"GET", key}})
	}
	replies, err := ask(s, commands...)
	if err != nil {
		e, head, err := unanswered(s, tenant, err)
		return e, head, storage.SessionUnknown, err
	}
	head, err := headOf(replies[1], replies[0])
	if err != nil {
		return nil, head, storage.SessionUnknown, err
	}
	score, err := number64(replies[2], "session")
	if err != nil {
		return nil, storage.Head{}, storage.SessionUnknown, err
	}
	found := storage.KindOfScore(score, storage.NowMS())
	if key == "" {
		return nil, head, found, nil
	}
	e, head, err := entryOf(replies[3], head)
	return e, head, found, err
}

// bearScript makes a default session of one that is about to begin.
//
// KEYS[1] the sessions; ARGV[1] the session, ARGV[2] its score, ARGV[3] the one that it gets.
const bearScript = `
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1`

// NoteDefault implements Storage: two round trips.
func (s *Redis) NoteDefault(tenant, session string, ttl int64, limit int) error {
	key := keys.Sessions(tenant)
	until := storage.NowMS() + ttl
	begins := strconv.FormatInt(storage.SessionScore(until, storage.ScoreBegins), 10)
	fresh, err := s.begin(tenant, session, begins, limit)
	if err != nil || !fresh {
		return err
	}
	_, err = s.do(resp.Command{Args: []string{"EVAL", bearScript, "1", key, session, begins, strconv.FormatInt(storage.SessionScore(until, storage.ScoreDefault), 10)}})
	return err
}

// settleScript makes a default session of one that begins.
//
// KEYS[1] the sessions; ARGV[1] the session.
const settleScript = `
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) % 4 ~= 3 then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', tonumber(score) - 3), ARGV[1])
return 1`

// NoteBeginning implements Storage.
func (s *Redis) NoteBeginning(tenant, session string, ttl int64, limit int) error {
	_, err := s.begin(tenant, session, strconv.FormatInt(storage.SessionScore(storage.NowMS()+ttl, storage.ScoreBegins), 10), limit)
	return err
}

// begin notes a session as one that begins, with this score. It reports false if something
// is known of it.
func (s *Redis) begin(tenant, session, score string, limit int) (fresh bool, err error) {
	replies, err := s.note(tenant, []string{"ZADD", keys.Sessions(tenant), "NX", score, session}, strconv.Itoa(-limit-1))
	return err == nil && replies[0].Int != 0, err
}

// Settle implements Storage.
func (s *Redis) Settle(tenant, session string) error {
	_, err := s.do(resp.Command{Args: []string{"EVAL", settleScript, "1", keys.Sessions(tenant), session}})
	return err
}

// Special implements Storage.
func (s *Redis) Special(tenant string, sessions []string, ttl int64, limit int) (all bool, err error) {
	score := strconv.FormatInt(storage.SessionScore(storage.NowMS()+ttl, storage.ScoreSpecial), 10)
	args := []string{"ZADD", keys.Sessions(tenant), "XX", "CH"}
	for i := 0; i < len(sessions); i++ {
		args = append(args, score, sessions[i])
	}
	replies, err := s.note(tenant, args, strconv.Itoa(-limit-1))
	return err == nil && replies[0].Int == int64(len(sessions)), err
}

// note runs a command on what is known of sessions, and drops those whose rank is
// limit at most.
func (s *Redis) note(tenant string, args []string, limit string) ([]resp.Reply, error) {
	key := keys.Sessions(tenant)
	replies, err := ask(s,
		resp.Command{Args: args},
		resp.Command{Args: []string{"ZREMRANGEBYRANK", key, "0", limit}},
	)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	if resp.Code(replies[0]) == "WRONGTYPE" { // something else stands in its place
		if err := s.Forget(tenant); err != nil {
			return nil, err
		}
		return s.do(resp.Command{Args: args})
	}
	return replies, firstError(replies, "ZADD")
}

// Forget implements Storage.
func (s *Redis) Forget(tenant string) error {
	_, err := s.do(resp.Command{Args: []string{"DEL", keys.Sessions(tenant)}})
	return err
}
