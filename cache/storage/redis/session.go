package redis

import (
	"fmt"
	"strconv"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// What is known of a session is the score of its hash in a sorted set, see
// storage.SessionScore. A session that is not in the set is unknown, and is treated like one
// in doubt: so it does little harm to lose a member, or the whole set.
//
// A mark replaces the note of a beginning, and is made of nothing else: so
// whoever makes ids up adds nothing to the set. For that no note of a beginning may
// come after a mark that found nothing. A command that was sent can arrive after its
// sender has given up waiting, so a beginning takes two: the first notes that the
// session is about to begin, which counts as in doubt, and only if that was answered the
// second makes a default one of exactly this note. Whichever of them is late, a mark
// that the visitor's later requests make finds the note, or the second command does
// not.
//
// Processes remember scores by which sessions may be given nobody's pages. So whatever ends
// such a score takes the next number, and notes it as the score of the session's hash in
// another sorted set, the changes: then a process asks for those with a higher number than
// the last that it knows. What is found out in favour of a session is no change: whoever
// remembers less asks again.
//
// Changes have three members of their own, as marks do: !e the epoch, !n the last number,
// !f the highest number of what was dropped. The sessions hold the epoch, too, with a score
// above all others. If the two differ, one of the sets was lost, perhaps with sessions that
// somebody remembers: the next note begins a new epoch, and until then nothing is remembered.

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
		return visitParsed(s, tenant, id, session, state)
	}
	if value == nil {
		return nil, head, n, nil
	}
	e, err := decode(s, tenant, id, value)
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
func visitParsed(s *Redis, tenant, id, session string, state resp.Outcome) (*storage.Entry, storage.Head, int64, error) {
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
	if id != "" {
		commands = append(commands, resp.Command{Args: []string{"GET", keys.Entry(tenant, id)}})
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
	if id == "" {
		return nil, head, score, nil
	}
	e, head, err := entryOf(s, tenant, id, replies[3], head)
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

// mostChanges bounds the changes that are kept. Who has not asked for so many forgets all
// that it remembers. mostRead is how many members may be read then: those of their own, too.
const (
	mostChanges = "1000"
	mostRead    = "1010"
)

// changing is what scripts have in common that may end a score.
//
// KEYS[1] the sessions, KEYS[2] the changes; ARGV[1] a new epoch.
var changing = `
local s, c, most, changed = KEYS[1], KEYS[2], ` + mostChanges + `, {}
local function anew()
  redis.call('DEL', c)
  redis.call('ZADD', c, ARGV[1], '!e', 0, '!n', 0, '!f')
  redis.call('ZADD', s, ARGV[1], '!e')
end
local function ready()
  local epoch = redis.call('ZSCORE', s, '!e')
  if not epoch or redis.call('TYPE', c).ok ~= 'zset' or redis.call('ZSCORE', c, '!e') ~= epoch then anew() end
end
local function ends(session, score)
  if score % 4 == 0 or score % 4 == 2 and score % ` + scoreUnit + ` > 2 then changed[#changed + 1] = session end
end
local function tell()
  if #changed == 0 then return end
  local n = redis.call('ZINCRBY', c, 1, '!n')
  for i = 1, #changed do redis.call('ZADD', c, n, changed[i]) end
  local count = redis.call('ZCARD', c) - 3
  if count > most then
    local at = count - math.floor(most * 3 / 4)
    local last = redis.call('ZRANGE', c, at, at, 'WITHSCORES')[2]
    redis.call('ZREMRANGEBYSCORE', c, '-inf', last)
    redis.call('ZADD', c, last, '!f', n, '!n')
  end
end
`

// beginScript notes a session as one that begins, unless something is known of it. Beyond the
// limit those with the lowest scores go. It returns how many it has noted.
//
// ARGV[2] the score, ARGV[3] the session, ARGV[4] most sessions.
var beginScript = changing + `
if redis.call('TYPE', s).ok ~= 'zset' then redis.call('DEL', s) end
ready()
local noted = redis.call('ZADD', s, 'NX', ARGV[2], ARGV[3])
local over = redis.call('ZCARD', s) - 1 - tonumber(ARGV[4])
if over > most then
  redis.call('ZREMRANGEBYRANK', s, 0, over - 1)
  anew()
elseif over > 0 then
  local gone = redis.call('ZRANGE', s, 0, over - 1, 'WITHSCORES')
  for i = 1, #gone, 2 do ends(gone[i], tonumber(gone[i + 1])) end
  redis.call('ZREMRANGEBYRANK', s, 0, over - 1)
  tell()
end
return noted`

// NoteBeginning implements Storage.
func (s *Redis) NoteBeginning(tenant, session string, ttl int64, limit int) (int64, error) {
	score := storage.BeginningScore(storage.NowMS() + ttl)
	replies, err := s.change(tenant, beginScript, strconv.FormatInt(score, 10), session, strconv.Itoa(limit))
	if err != nil || replies[0].Int == 0 {
		score = 0
	}
	return score, err
}

// change runs a script that may end scores.
func (s *Redis) change(tenant, script string, args ...string) ([]resp.Reply, error) {
	all := []string{"EVAL", script, "2", keys.Sessions(tenant), keys.Changes(tenant), strconv.FormatInt(storage.NewSessionsEpoch(), 10)}
	return s.do(resp.Command{Args: append(all, args...)})
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
// ARGV[2] the score without a kind, ARGV[3] the kind, ARGV[4] and on the sessions.
var markScript = changing + `
local had, held = {}, redis.call('TYPE', s).ok == 'zset'
if held then ready() else redis.call('DEL', s) end
for i = 4, #ARGV do
  local score = held and redis.call('ZSCORE', s, ARGV[i])
  had[i - 3] = score or '0'
  if score then
    score = tonumber(score)
    ends(ARGV[i], score)
    local to, kind = tonumber(ARGV[2]), tonumber(ARGV[3])
    local after = score - score % ` + scoreUnit + ` + ` + scoreUnit + `
    if after > to then to = after end
    if score % 4 == 1 then kind = 1 end
    redis.call('ZADD', s, string.format('%.0f', to + kind), ARGV[i])
  end
end
tell()
return had`

// Mark implements Storage.
func (s *Redis) Mark(tenant string, sessions []string, special bool, until int64) ([]int64, error) {
	args := []string{strconv.FormatInt(storage.SessionScore(until, 0), 10), strconv.FormatInt(storage.MarkKind(special), 10)}
	replies, err := s.change(tenant, markScript, append(args, sessions...)...)
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

// Changes implements Remote: one round trip.
func (s *Redis) Changes(tenant string, since storage.Head) (*storage.Changes, error) {
	marks, changes := keys.Marks(tenant), keys.Changes(tenant)
	cmds := []resp.Command{
		{Args: []string{"ZSCORE", marks, "!s"}},
		{Args: []string{"ZSCORE", marks, "!e"}},
		{Args: []string{"ZSCORE", keys.Sessions(tenant), "!e"}},
		{Args: []string{"ZSCORE", changes, "!n"}},
		{Args: []string{"ZRANGEBYSCORE", changes, "(" + strconv.FormatInt(since.Seq, 10), "+inf", "WITHSCORES", "LIMIT", "0", mostRead}},
	}
	replies, err := ask(s, cmds...)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", storage.ErrUnavailable, err)
	}
	c := &storage.Changes{}
	if c.Head, err = headOf(replies[1], replies[0]); err != nil {
		return nil, err
	}
	if c.At.Epoch, err = number64(replies[2], "epoch of sessions"); err != nil || c.At.Epoch == 0 {
		return c, err
	}
	if resp.Code(replies[4]) == "WRONGTYPE" {
		c.At = storage.Head{}
		return c, nil
	}
	if c.At.Seq, err = number64(replies[3], "number of changes"); err != nil {
		return nil, err
	}
	if err := firstError(replies, cmds); err != nil {
		return nil, err
	}
	return c, readChanges(c, since, replies[4].Items)
}

// readChanges reads the members of the changes. Where their epoch is not that of the sessions,
// or not among so many, nothing is known of any session. If the number is lower than before,
// changes were lost.
func readChanges(c *storage.Changes, since storage.Head, items []resp.Reply) error {
	epoch, floor := int64(0), int64(0)
	for i := 0; i+1 < len(items); i += 2 {
		n, err := number64(items[i+1], "number of a change")
		if err != nil {
			return err
		}
		switch member := string(items[i].Body); member {
		case "!e":
			epoch = n
		case "!n": // perhaps a later one than was read before
			c.At.Seq = n
		case "!f":
			floor = n
		default:
			c.Sessions = append(c.Sessions, member)
		}
	}
	if epoch != c.At.Epoch {
		*c = storage.Changes{Head: c.Head}
		return nil
	}
	c.Whole = since.Epoch != epoch || floor > since.Seq || c.At.Seq < since.Seq
	return nil
}

// Forget implements Storage.
func (s *Redis) Forget(tenant string) error {
	_, err := s.do(resp.Command{Args: []string{"DEL", keys.Sessions(tenant)}})
	return err
}
