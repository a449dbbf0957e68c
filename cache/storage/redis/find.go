package redis

import (
	"strconv"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// Find implements Storage: one round trip.
func (s *Redis) Find(tenant string, q *storage.Query) (*storage.Answer, error) {
	var err error
	a := &storage.Answer{}
	switch {
	case q.List != nil:
		return s.varied(tenant, q)
	case q.Lock != nil:
		a.Entry, a.Head, a.Locked, err = claim(s, tenant, q.Lock, strconv.FormatInt(q.LockTTL, 10))
	case q.Session != "":
		a.Entry, a.Head, a.Session, err = visit(s, tenant, q.ID, q.Session)
	default:
		a.Entry, a.Head, err = lookup(s, tenant, q.ID)
	}
	return a, err
}

// lookup asks for an entry, by bytes that are ready to be sent.
func lookup(s *Redis, tenant, id string) (*storage.Entry, storage.Head, error) {
	key := keys.Entry(tenant, id)
	head, _, value, state := askExpected(s, tenant, "", "*2\r\n$3\r\nGET\r\n$"+strconv.Itoa(len(key))+"\r\n"+key+"\r\n")
	if state != resp.Matches {
		return lookupParsed(s, tenant, key, state)
	}
	if value == nil {
		return nil, head, nil
	}
	e, err := storage.Decode(value)
	if err != nil {
		return nil, head, err
	}
	return e, head, nil
}
