package config

import (
	"fmt"

	"github.com/odoocache/odoocache/cache/option"
)

// QuotaSettings bound what a tenant takes of what it shares with others. 0: it has no bound of its
// own.
type QuotaSettings struct {
	MemoryBytes   int64
	MemoryEntries int
	RedisBytes    int64
	RedisEntries  int
	Purges        int // a minute, in each Traefik
	Refreshes     int // in the background, at once

	Bounded bool // what its pages take is
}

// leastQuota is the least that a tenant may be given, in bytes: with less it could keep no page.
const leastQuota = 64 << 10

// usualQuota is what is by default, as text and read.
var (
	usualQuota    = fmt.Sprint(option.Default().Quota)
	usualSettings = QuotaSettings{Purges: 6000}
)

// quotaOf reads a tenant's quota. Most tenants have the usual one.
func quotaOf(p *problems, c *option.Config) QuotaSettings {
	if fmt.Sprint(c.Quota) == usualQuota {
		return usualSettings
	}
	return p.quota(c)
}

func (p *problems) quota(c *option.Config) QuotaSettings {
	q := c.Quota
	p.unknown("quota.", q.Unknown)
	s := QuotaSettings{
		MemoryBytes:   p.quotaBytes("quota.memoryBytes", q.MemoryBytes),
		MemoryEntries: p.number("quota.memoryEntries", q.MemoryEntries, 0, 100000000),
		RedisBytes:    p.quotaBytes("quota.redisBytes", q.RedisBytes),
		RedisEntries:  p.number("quota.redisEntries", q.RedisEntries, 0, 100000000),
		Purges:        p.number("quota.purges", q.Purges, 0, 1000000),
		Refreshes:     p.number("quota.refreshes", q.Refreshes, 0, 10000),
	}
	s.Bounded = s.MemoryBytes+s.RedisBytes > 0 || s.MemoryEntries+s.RedisEntries > 0
	if c.Redis.Address != "" || c.Redis.Sentinel.Master != "" || len(c.Redis.Cluster.Addresses) > 0 {
		return s
	}
	if s.RedisBytes > 0 {
		p.add("quota.redisBytes", "%q, and there is no Redis; expected redis.address with it, or no such option", q.RedisBytes)
	}
	if s.RedisEntries > 0 {
		p.add("quota.redisEntries", "%q, and there is no Redis; expected redis.address with it, or no such option", q.RedisEntries)
	}
	return s
}

// quotaBytes reads a size that is 0, for none, or lets a tenant keep a page.
func (p *problems) quotaBytes(path, s string) int64 {
	n := p.size(path, s, 0, 1<<40)
	if n > 0 && n < leastQuota {
		p.add(path, "%q; expected 0 for none, or at least %s", s, inUnits(leastQuota))
	}
	return n
}
