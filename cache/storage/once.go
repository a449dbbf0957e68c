package storage

import (
	"strconv"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/keys"
)

// What may be used once is a key with an expiry, which only the first to ask can set.

// Once implements Storage: one round trip. The value tells whose it is, even if it was set
// by a command whose answer was not heard.
func (s *Redis) Once(tenant, id string, ttl int64) (bool, error) {
	key := keys.Nonce(tenant, id)
	own := newNonce()
	replies, err := s.do(
		resp.Command{Args: []string{"SET", key, own, "NX", "PX", strconv.FormatInt(ttl, 10)}},
		resp.Command{Args: []string{"GET", key}},
	)
	if err != nil {
		return false, err
	}
	return string(replies[1].Body) == own, nil
}

// Once implements Storage. Nobody shares this storage, and who asks remembers.
func (m *Memory) Once(string, string, int64) (bool, error) {
	return true, nil
}

// Once reports whether nobody with the same storage has asked for an identity of a tenant
// within the last ttl ms. A storage that does not answer says so, too: whoever asks has to
// remember what it asked for itself.
func (t *Tier) Once(n *Tenant, id string, ttl int64) bool {
	if !n.guard.allow(ticks()) {
		return true
	}
	first, err := t.store.Once(n.name, id, ttl)
	if err != nil {
		t.unwritten(n, "nonce", err)
		return true
	}
	n.guard.success()
	return first
}
