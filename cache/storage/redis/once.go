package redis

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
