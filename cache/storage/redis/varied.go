package redis

import (
	"errors"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// variedScript returns a variant if the list is as given, else what is in its place; empty:
// there is no such variant; nil: there is nothing in its place.
//
// KEYS[1] the list, KEYS[2] the variant; ARGV[1] the list as it was.
const variedScript = `
local list = redis.call('GET', KEYS[1])
if list ~= ARGV[1] then return list end
return redis.call('GET', KEYS[2]) or ''`

// varied asks for a variant by the list that led to it before.
func (s *Redis) varied(tenant string, q *storage.Query) (*storage.Answer, error) {
	marks := keys.Marks(tenant)
	commands := []resp.Command{{Args: []string{"ZSCORE", marks, "!s"}}, {Args: []string{"ZSCORE", marks, "!e"}}}
	if q.Session != "" {
		commands = append(commands, resp.Command{Args: []string{"ZSCORE", keys.Sessions(tenant), q.Session}})
	}
	commands = append(commands, resp.Command{Args: []string{
		"EVAL", variedScript, "2", keys.Entry(tenant, keys.ID(q.List.Entry.Key)), keys.Entry(tenant, q.ID), q.List.Raw,
	}})
	a := &storage.Answer{}
	replies, err := ask(s, commands...)
	if err != nil {
		_, a.Head, err = unanswered(s, tenant, err)
		return a, err
	}
	if a.Head, err = headOf(replies[1], replies[0]); err != nil {
		return a, err
	}
	if q.Session != "" {
		if a.Score, err = number64(replies[2], "session"); err != nil {
			return &storage.Answer{}, err
		}
	}
	last := replies[len(commands)-1]
	switch {
	case last.Kind == resp.Error:
		_, a.Head, err = entryError(last, a.Head)
		return a, err
	case last.Null:
		return a, nil
	case len(last.Body) == 0:
		a.Listed = true
		return a, nil
	}
	a.Entry, err = decode(s, tenant, q.ID, last.Body)
	if errors.Is(err, storage.ErrForeign) { // it is in place of the list, perhaps
		a.Entry, err = decode(s, tenant, keys.ID(q.List.Entry.Key), last.Body)
	}
	a.Listed = err != nil || !a.Entry.IsList() && a.Entry.Key != q.List.Entry.Key
	return a, err
}
