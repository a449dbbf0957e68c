package redis

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// What is known of a session is the score of its hash in a sorted set, see
// storage.SessionScore. A session that is not in the set is unknown, and is treated like one
// in doubt: so it does no harm to lose a member, or the whole set.
//
// A mark replaces the note of a beginning, and is made of nothing else: so
// whoever makes ids up adds nothing to the set. For that no note of a beginning may
// come after a mark that found nothing. A command that was sent can arrive after its
// sender has given up waiting, so a beginning takes two: the first notes that the
// session is about to begin, which counts as in doubt, and only if that was answered the
// second makes a default one of exactly this note. Whichever of them is late, a mark
// that the visitor's later requests make finds the note, or the second command does
// not.

// visit asks for an entry, unless id is empty, and for a session.
func visit(s *Redis, tenant, id, session string) (*storage.Entry, storage.Head, int64, error) {
	key := keys.Sessions(tenant)
	score := "*3\r\n$6\r\nZSCORE\r\n$" + strconv.Itoa(len(key)) + "\r\n" + key + "\r\n$" + strconv.Itoa(len(session)) + "\r\n" + session + "\r\n"
	if id == "" {
		head, _, found, state := askExpected(s, tenant, "", score)
		if n := known(string(found)); state == resp.Matches && n >= 0 {
			return nil, head, n, nil
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
		return nil, head, n, nil
	}
	e, err := storage.Decode(value)
	if err != nil {
		return nil, head, n, err
	}
	return e, head, n, nil
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
func visitParsed(s *Redis, tenant, key, session string, state resp.Outcome) (*storage.Entry, storage.Head, int64, error) {
	if state == resp.TimedOut {
		e, head, err := unanswered(s, tenant, resp.ErrTimeout)
		return e, head, 0, err
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
		return e, head, 0, err
	}
	head, err := headOf(replies[1], replies[0])
	if err != nil {
		return nil, head, 0, err
	}
	score, err := number64(replies[2], "session")
	if err != nil {
		return nil, storage.Head{}, 0, err
	}
	if key == "" {
		return nil, head, score, nil
	}
	e, head, err := entryOf(replies[3], head)
	return e, head, score, err
}

// settleScript is storage.SettledScore.
//
// KEYS[1] the sessions; ARGV[1] the session, ARGV[2] the score that it had, ARGV[3] what the
// bit is in a score, 0: all.
var settleScript = `
local score, was, bit = redis.call('ZSCORE', KEYS[1], ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not score then return 0 end
score = tonumber(score)
local since = score - score % ` + scoreUnit + `
if since ~= was - was % ` + scoreUnit + ` or score % 4 ~= was % 4 or was % 4 == 3 and score ~= was then return 0 end
if bit == 0 then
  score = since
elseif score % 4 == 3 then
  score = since + 2 + bit
elseif score % (2 * bit) < bit then
  score = score + bit
end
redis.call('ZADD', KEYS[1], string.format('%.0f', score), ARGV[1])
return 1`

var scoreUnit = strconv.Itoa(storage.ScoreUnit)

// NoteDefault implements Storage: two round trips.
func (s *Redis) NoteDefault(tenant, session string, ttl int64, limit int) error {
	begins, err := s.NoteBeginning(tenant, session, ttl, limit)
	if err != nil || begins == 0 {
		return err
	}
	return s.Settle(tenant, session, begins, storage.AllRules)
}

// NoteBeginning implements Storage.
func (s *Redis) NoteBeginning(tenant, session string, ttl int64, limit int) (int64, error) {
	score := storage.BeginningScore(storage.NowMS() + ttl)
	replies, err := s.note(tenant,
		[]string{"ZADD", keys.Sessions(tenant), "NX", strconv.FormatInt(score, 10), session},
		resp.Command{Args: []string{"ZREMRANGEBYRANK", keys.Sessions(tenant), "0", strconv.Itoa(-limit - 1)}})
	if err != nil || replies[0].Int == 0 {
		score = 0
	}
	return score, err
}

// Settle implements Storage.
func (s *Redis) Settle(tenant, session string, was int64, bit int) error {
	evidence := int64(0)
	if bit != storage.AllRules {
		evidence = storage.EvidenceOf(bit)
	}
	_, err := s.do(resp.Command{Args: []string{
		"EVAL", settleScript, "1", keys.Sessions(tenant), session, strconv.FormatInt(was, 10), strconv.FormatInt(evidence, 10),
	}})
	return err
}

// markScript is storage.MarkedScore, for sessions of which something is known. It returns the
// scores that they had.
//
// KEYS[1] the sessions; ARGV[1] the score without a kind, ARGV[2] the kind, ARGV[3] and on
// the sessions.
var markScript = `
local had = {}
for i = 3, #ARGV do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  had[i - 2] = score or '0'
  if score then
    score = tonumber(score)
    local to, kind = tonumber(ARGV[1]), tonumber(ARGV[2])
    local after = score - score % ` + scoreUnit + ` + ` + scoreUnit + `
    if after > to then to = after end
    if score % 4 == 1 then kind = 1 end
    redis.call('ZADD', KEYS[1], string.format('%.0f', to + kind), ARGV[i])
  end
end
return had`

// Mark implements Storage.
func (s *Redis) Mark(tenant string, sessions []string, special bool, until int64) ([]int64, error) {
	args := []string{
		"EVAL", markScript, "1", keys.Sessions(tenant), strconv.FormatInt(storage.SessionScore(until, 0), 10), strconv.FormatInt(storage.MarkKind(special), 10),
	}
	replies, err := s.note(tenant, append(args, sessions...))
	if err != nil {
		return nil, err
	}
	had := make([]int64, len(sessions))
	for i := 0; i < len(had) && i < len(replies[0].Items); i++ {
		if had[i], err = number64(replies[0].Items[i], "session"); err != nil {
			return nil, err
		}
	}
	return had, nil
}

// note runs commands on what is known of sessions.
func (s *Redis) note(tenant string, args []string, more ...resp.Command) ([]resp.Reply, error) {
	commands := append([]resp.Command{{Args: args}}, more...)
	replies, err := ask(s, commands...)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	if replies[0].Kind == resp.Error && strings.Contains(replies[0].Text, "WRONGTYPE") { // something else stands in its place
		if err := s.Forget(tenant); err != nil {
			return nil, err
		}
		return s.do(resp.Command{Args: args})
	}
	return replies, firstError(replies, args[0])
}

// Forget implements Storage.
func (s *Redis) Forget(tenant string) error {
	_, err := s.do(resp.Command{Args: []string{"DEL", keys.Sessions(tenant)}})
	return err
}
