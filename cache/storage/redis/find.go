package redis

import (
	"strconv"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// Find implements Storage: one round trip.
func (s *Redis) Find(tenant string, q *storage.Query) (*storage.Answer, error) {
	if q.List != nil || q.Lock != nil || q.Session != "" {
		return findWith(s, tenant, q)
	}
	key := keys.Entry(tenant, q.ID)
	head, _, value, state := askExpected(s, tenant, "", "*2\r\n$3\r\nGET\r\n$"+strconv.Itoa(len(key))+"\r\n"+key+"\r\n")
	if state != resp.Matches {
		return findParsed(s, tenant, q.ID, state)
	}
	if value == nil {
		return &storage.Answer{Head: head}, nil
	}
	if s.ring != nil {
		return findSealed(s, tenant, q.ID, value, head)
	}
	e, err := storage.Decode(value)
	return &storage.Answer{Entry: e, Head: head}, err
}

// findSealed reads an entry that is encrypted.
func findSealed(s *Redis, tenant, id string, value []byte, head storage.Head) (*storage.Answer, error) {
	e, err := decode(s, tenant, id, value)
	return &storage.Answer{Entry: e, Head: head}, err
}

// findWith asks for more than an entry.
func findWith(s *Redis, tenant string, q *storage.Query) (*storage.Answer, error) {
	if q.List != nil {
		return s.varied(tenant, q)
	}
	var err error
	a := &storage.Answer{}
	if q.Lock != nil {
		a.Entry, a.Head, a.Locked, err = claim(s, tenant, q.Lock, strconv.FormatInt(q.LockTTL, 10))
	} else {
		a.Entry, a.Head, a.Score, err = visit(s, tenant, q.ID, q.Session)
	}
	return a, err
}

// findParsed asks for an entry where the answer is not as it mostly is.
func findParsed(s *Redis, tenant, id string, state resp.Outcome) (*storage.Answer, error) {
	e, head, err := lookupParsed(s, tenant, id, state)
	return &storage.Answer{Entry: e, Head: head}, err
}
