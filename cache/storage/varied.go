package storage

import (
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/keys"
)

// List is the variant list of a page as it was found. What it says of the next request is
// asked for together with whether the list still is the same.
type List struct {
	Entry *Entry
	raw   string
}

// Remember returns a list to ask by, nil if that is of no use: where there is a memory
// tier, the list is in it.
func (t *Tier) Remember(list *Entry) *List {
	if t.redis == nil || t.memory != nil {
		return nil
	}
	raw, err := Encode(list)
	if err != nil {
		return nil
	}
	return &List{Entry: list, raw: string(raw)}
}

// variedScript returns a variant if the list is as given, else what is in its place; empty:
// there is no such variant; nil: there is nothing in its place.
//
// KEYS[1] the list, KEYS[2] the variant; ARGV[1] the list as it was.
const variedScript = `
local list = redis.call('GET', KEYS[1])
if list ~= ARGV[1] then return list end
return redis.call('GET', KEYS[2]) or ''`

// LookupVaried looks a variant up, for a session if there is one, in one round trip. The
// entry that it returns is what is there in place of the list if that has changed: another
// list, or a page that varies no more; else List tells that it has not.
func (t *Tier) LookupVaried(v *View, list *List, key, session string) *Found {
	now := nowMS()
	if reason := t.ready(v); reason != "" {
		return &Found{Reason: reason}
	}
	asked := ticks()
	value, head, state, err := t.redis.varied(v.tenant, list, key, session)
	var e *Entry
	if err == nil && len(value) > 0 {
		e, err = Decode(value)
	}
	changed := e != nil && (e.IsList() || e.Key == list.Entry.Key)
	if changed {
		key = list.Entry.Key
	}
	f := found(t, v, key, e, head, err, now, asked)
	f.Session = state
	if value == nil || err != nil || f.Reason != "" && f.Reason != policy.ReasonPurged || changed {
		return f
	}
	if v.Check(list.Entry) == Purged {
		f.Entry = nil
		f.Reason = policy.ReasonPurged
		return f
	}
	f.List = list.Entry
	return f
}

// varied asks for a variant. The value is nil if there is no list.
func (s *Redis) varied(tenant string, list *List, key, session string) ([]byte, Head, int, error) {
	marks := keys.Marks(tenant)
	commands := []resp.Command{{Args: []string{"ZSCORE", marks, "!s"}}, {Args: []string{"ZSCORE", marks, "!e"}}}
	if session != "" {
		commands = append(commands, resp.Command{Args: []string{"ZSCORE", keys.Sessions(tenant), session}})
	}
	commands = append(commands, resp.Command{Args: []string{
		"EVAL", variedScript, "2", keys.Entry(tenant, keys.ID(list.Entry.Key)), keys.Entry(tenant, keys.ID(key)), list.raw,
	}})
	replies, err := ask(s, commands...)
	if err != nil {
		_, head, err := unanswered(s, tenant, err)
		return nil, head, SessionUnknown, err
	}
	head, err := headOf(replies[1], replies[0])
	if err != nil {
		return nil, head, SessionUnknown, err
	}
	state := SessionUnknown
	if session != "" {
		score, err := number64(replies[2], "session")
		if err != nil {
			return nil, Head{}, SessionUnknown, err
		}
		state = sessionState(score, nowMS())
	}
	last := replies[len(commands)-1]
	if last.Kind == resp.Error {
		_, head, err := entryError(last, head)
		return nil, head, state, err
	}
	if last.Null {
		return nil, head, state, nil
	}
	return last.Body, head, state, nil
}
