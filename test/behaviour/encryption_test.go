package behaviour_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// vault is a Redis with pages that are encrypted, and the files with the keys.
type vault struct {
	t      *testing.T
	load   site.Loader
	dir    string
	socket string
	client *redis.Client
}

func newVault(t *testing.T, load site.Loader) *vault {
	v := &vault{t: t, load: load, dir: t.TempDir(), socket: redisSocket(t)}
	v.client = redis.NewClient(&redis.Options{Network: "unix", Addr: v.socket})
	t.Cleanup(func() { _ = v.client.Close() })
	return v
}

// key writes a file with a key that is made of a digit, and returns its path.
func (v *vault) key(name, digit string) string {
	return keyFile(v.t, filepath.Join(v.dir, name), digit)
}

// keyFile writes such a file, and returns its path.
func keyFile(t *testing.T, path, digit string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	key := bytes.Repeat([]byte{0xa0 + digit[0]}, 32)
	key[0] = 1 // else it is refused
	require.NoError(t, os.WriteFile(path, []byte(hex.EncodeToString(key)+"\n"), 0o600))
	return path
}

// site is a site of a tenant whose pages are in that Redis alone.
func (v *vault) site(tenant string, encryption site.Options, answer http.HandlerFunc) *site.Site {
	return site.New(v.t, v.load, site.Options{
		"tenant": tenant, "redis": patientRedis(site.Options{"address": v.socket}), "memory": site.Options{"bytes": "0"}, "encryption": encryption,
		"purge": site.Options{"networks": []string{"127.0.0.1"}},
	}, answer)
}

// tenant is the name of one that nobody had.
func (v *vault) tenant() string {
	return fmt.Sprintf("v%d", site.Tenants.Add(1))
}

// entries are a tenant's, by their keys.
func (v *vault) entries(tenant string) map[string]string {
	ctx := context.Background()
	names, err := v.client.Keys(ctx, "oc:{"+tenant+"}:e:*").Result()
	require.NoError(v.t, err)
	all := map[string]string{}
	for _, name := range names {
		if all[name], err = v.client.Get(ctx, name).Result(); err != nil {
			require.ErrorIs(v.t, err, redis.Nil)
		}
	}
	return all
}

// entry is a tenant's only one.
func (v *vault) entry(tenant string) (name, value string) {
	all := v.entries(tenant)
	require.Len(v.t, all, 1)
	for name, value = range all {
	}
	return name, value
}

func (v *vault) set(name, value string) {
	require.NoError(v.t, v.client.Set(context.Background(), name, value, time.Minute).Err())
}

// everything is all that Redis holds of a tenant: names of keys, strings, members.
func (v *vault) everything(tenant string) string {
	ctx := context.Background()
	names, err := v.client.Keys(ctx, "oc:{"+tenant+"}:*").Result()
	require.NoError(v.t, err)
	all := strings.Join(names, "\n")
	for _, name := range names {
		if value, err := v.client.Get(ctx, name).Result(); err == nil {
			all += "\n" + value
			continue
		}
		members, err := v.client.ZRange(ctx, name, 0, -1).Result()
		require.NoError(v.t, err)
		all += "\n" + strings.Join(members, "\n")
	}
	return all
}

// hits asks for a page until all ways of a hit have answered with it.
func (v *vault) hits(s *site.Site, path, body string) {
	v.t.Helper()
	for i := 0; i < 4; i++ {
		for _, accept := range []string{"gzip", ""} {
			got := s.Get(path, "Accept-Encoding: "+accept)
			if got.Header.Get("Content-Encoding") == "gzip" {
				z, err := gzip.NewReader(strings.NewReader(got.Body))
				require.NoError(v.t, err)
				var plain bytes.Buffer
				_, err = plain.ReadFrom(z)
				require.NoError(v.t, err)
				got.Body = plain.String()
			}
			require.Equal(v.t, body, got.Body)
			if i > 1 { // as gzip and as it is
				require.Contains(v.t, got.CacheStatus(), "; hit", "%d %q", i, accept)
			}
		}
	}
}

var secretPage = strings.Repeat("the secret of the body ", 100)

func secretAnswer(rw http.ResponseWriter, r *http.Request) {
	site.Page(secretPage, "Cache-Control: max-age=600", "Surrogate-Key: secret-tag", "X-Secret: secret-field", "Content-Type: text/html")(rw, r)
}

// TestRedisHoldsNothingInClear: with keys, Redis holds neither body nor header, host, path or tag of a page
// in a form that can be read. Hits of all kinds come from it, and purges reach it.
func TestRedisHoldsNothingInClear(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		v := newVault(t, load)
		tenant := v.tenant()
		keys := site.Options{"keys": []string{v.key("1", "1")}}
		s := v.site(tenant, keys, secretAnswer)
		const path = "/secret-path/page?secret-parameter=secret-value"
		v.hits(s, path, secretPage)
		count := s.Count.Load()
		assert.LessOrEqual(t, count, int64(2))
		v.hits(s, path, secretPage)
		assert.Equal(t, count, s.Count.Load())
		assert.Equal(t, http.StatusNotModified, s.Get(path, "If-None-Match: "+s.Get(path).Header.Get("Etag")).Status)
		nothing := func() {
			all := v.everything(tenant)
			assert.Contains(t, all, "oc2 ")
			for _, word := range []string{"secret", "127.0.0.1", "text/html", "X-Secret", "oc1", "200\n"} {
				assert.NotContains(t, strings.ToLower(all), strings.ToLower(word))
			}
		}
		nothing()
		other := v.site(tenant, keys, secretAnswer)
		assert.Contains(t, other.Get(path, "Host: "+strings.TrimPrefix(s.URL, "http://")).CacheStatus(), "; hit", "another Traefik")
		assert.Zero(t, other.Count.Load())
		for _, body := range []string{`{"tags":["secret-tag"]}`, `{"prefixes":["/secret-path/"]}`, `{"all":true}`} {
			assert.Equal(t, http.StatusOK, s.Do(http.MethodPost, "/.odoocache/purge", body).Status)
			assert.Contains(t, s.Get(path).CacheStatus(), "purged")
			v.hits(s, path, secretPage)
			nothing()
		}

		plain := v.tenant()
		v.hits(v.site(plain, nil, secretAnswer), path, secretPage)
		assert.Contains(t, v.everything(plain), "secret-path", "without keys it does")
	})
}

// sameSum changes a text so that its checksum stays what it was, as somebody can who knows no key: a bit, and
// of the last bits those that make up for it.
func sameSum(text string) string {
	sum := func(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
	b := []byte(text)
	b[8] ^= 1
	from := len(b) - 4
	type effect struct{ sum, bits uint32 }
	var basis [32]effect // by the highest bit of the sum
	reduce := func(e effect, add bool) effect {
		for at := 31; at >= 0; at-- {
			if e.sum>>at&1 == 0 {
				continue
			}
			if basis[at].sum == 0 {
				if add {
					basis[at] = e
				}
				return e
			}
			e.sum, e.bits = e.sum^basis[at].sum, e.bits^basis[at].bits
		}
		return e
	}
	for i := 0; i < 32; i++ {
		c := append([]byte{}, b...)
		c[from+i/8] ^= 1 << (i % 8)
		reduce(effect{sum(c) ^ sum(b), 1 << i}, true)
	}
	left := reduce(effect{sum: sum(b) ^ sum([]byte(text))}, false)
	for i := 0; i < 32; i++ {
		b[from+i/8] ^= byte(left.bits>>i&1) << (i % 8)
	}
	if sum(b) != sum([]byte(text)) {
		panic("another checksum")
	}
	return string(b)
}

// TestEncryptedEntriesThatAreWrong: a bit that has changed, an entry in another one's place, an unknown key and
// what is not encrypted are misses with a reason, by each way of a hit. The entry is replaced.
func TestEncryptedEntriesThatAreWrong(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		v := newVault(t, load)
		keys := site.Options{"keys": []string{v.key("1", "1")}}
		bodies := func(rw http.ResponseWriter, r *http.Request) {
			site.Page("body of "+r.URL.Path, "Cache-Control: max-age=600")(rw, r)
		}
		tenant := v.tenant()
		s := v.site(tenant, keys, bodies)
		storesAndHits(t, s, "/page")
		name, first := v.entry(tenant)
		tag := s.Get("/page").Header.Get("Etag")
		require.Equal(t, http.StatusNotModified, s.Get("/page", "If-None-Match: "+tag).Status)
		storesAndHits(t, s, "/other")
		other := ""
		for key, value := range v.entries(tenant) {
			if key != name {
				other = value
			}
		}
		foreign := v.tenant()
		storesAndHits(t, v.site(foreign, keys, bodies), "/page")
		_, ofForeign := v.entry(foreign)
		unknown := v.tenant()
		storesAndHits(t, v.site(unknown, site.Options{"keys": []string{v.key("2", "2")}}, bodies), "/page")
		_, ofUnknown := v.entry(unknown)
		readable := v.tenant()
		storesAndHits(t, v.site(readable, nil, bodies), "/page")
		_, plain := v.entry(readable)

		words := strings.SplitN(strings.SplitN(first, "\n", 2)[0], " ", 5)
		inPlace := func(value string) string { // as somebody would who can write to Redis
			return strings.Replace(value, strings.Fields(value)[3], words[3], 1)
		}
		flipped := func(at int) string {
			b := []byte(first)
			if at < 0 {
				at += len(b)
			}
			b[at] ^= 4
			return string(b)
		}
		body := len(strings.SplitN(first, "\n", 2)[0]) + 1
		forged := first[:body] + sameSum(first[body:])
		require.NotEqual(t, first, forged)
		for _, c := range []struct{ name, value, reason string }{
			{"a bit of the body", flipped(-20), "store-corrupt"},
			{"a bit of the tag", flipped(-1), "store-corrupt"},
			{"a bit of what is before the body", flipped(body), "store-corrupt"},
			{"a bit of the nonce", flipped(len("oc2 01234567 ") + 2), "store-corrupt"},
			{"a bit, and the checksum put right", forged, "store-corrupt"},
			{"cut off", first[:len(first)-1], "store-corrupt"},
			{"without a tag", first[:body], "store-corrupt"},
			{"another page", other, "store-foreign"},
			{"another page, renamed", inPlace(other), "store-corrupt"},
			{"another tenant's", ofForeign, "store-foreign"},
			{"another tenant's, renamed", inPlace(ofForeign), "store-corrupt"},
			{"an unknown key", inPlace(ofUnknown), "store-key"},
			{"not encrypted", plain, "store-plain"},
			{"garbage", "garbage", "store-corrupt"},
		} {
			for _, ready := range []bool{false, true} {
				if ready { // to be written as it comes from Redis
					for i := 0; i < 4; i++ {
						s.Get("/page")
						s.Get("/page", "Accept-Encoding: gzip")
					}
					require.Contains(t, s.Get("/page").CacheStatus(), "; hit", c.name)
				}
				v.set(name, c.value)
				if ready {
					matched := s.Get("/page", "If-None-Match: "+tag)
					assert.NotContains(t, matched.CacheStatus(), "; hit", "%s: nor is it for who has it", c.name)
					v.set(name, c.value)
				}
				count := s.Count.Load()
				got := s.Get("/page")
				assert.Equal(t, "body of /page", got.Body, c.name)
				assert.Contains(t, got.CacheStatus(), "detail="+c.reason, "%s, ready: %v", c.name, ready)
				assert.Equal(t, count+1, s.Count.Load(), c.name)
				assert.Contains(t, s.Get("/page").CacheStatus(), "; hit", "%s: it was replaced", c.name)
			}
		}
	})
}

// TestKeysRotateWithoutAFlush: what was written with the key before is read, and new pages have the new
// one. When the file with the key before goes, so do its pages.
func TestKeysRotateWithoutAFlush(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		v := newVault(t, load)
		tenant := v.tenant()
		one, two := v.key("1", "1"), v.key("2", "2")
		with := func(files ...string) *site.Site {
			return v.site(tenant, site.Options{"keys": files}, secretAnswer)
		}
		before := with(one)
		host := "Host: " + strings.TrimPrefix(before.URL, "http://")
		get := func(s *site.Site, path string) string { return s.Get(path, host).CacheStatus() }
		require.Contains(t, get(before, "/old"), "; stored")
		_, value := v.entry(tenant)
		id := strings.Fields(value)[1]
		during := with(two, one)
		for i := 0; i < 3; i++ {
			assert.Contains(t, get(during, "/old"), "; hit", "nothing is flushed")
		}
		assert.Zero(t, during.Count.Load())
		require.Contains(t, get(during, "/new"), "; stored")
		ids := map[string]int{}
		for _, value := range v.entries(tenant) {
			ids[strings.Fields(value)[1]]++
		}
		assert.Len(t, ids, 2, "two keys are in use")
		assert.Equal(t, 1, ids[id])
		assert.Contains(t, get(before, "/new"), "store-key", "who has not got the new key asks Odoo")
		require.Contains(t, get(during, "/new"), "; hit", "it is written with the old one now")

		require.Contains(t, get(during, "/newer"), "; stored")
		after := with(two)
		assert.Contains(t, get(after, "/newer"), "; hit")
		assert.Contains(t, get(after, "/old"), "store-key")
		assert.Contains(t, get(after, "/old"), "; hit")

		v.key("2", "3") // a file that has another key at the next reload
		assert.Contains(t, get(with(two), "/newer"), "store-key")
	})
}

// TestATenantIsErased: when a tenant's own key goes, nothing that Redis has of its pages can be read any more,
// copies included. Other tenants keep theirs.
func TestATenantIsErased(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		v := newVault(t, load)
		a, b := v.tenant(), v.tenant()
		own := filepath.Join(v.dir, "tenants")
		v.key("tenants/"+a, "4")
		v.key("tenants/"+b, "5")
		options := site.Options{"keys": []string{v.key("1", "1")}, "tenantKeys": own}
		ofA, ofB := v.site(a, options, secretAnswer), v.site(b, options, secretAnswer)
		for i := 0; i < 3; i++ {
			v.hits(ofA, "/page", secretPage)
			v.hits(ofB, "/page", secretPage)
		}
		name, value := "", ""
		for name, value = range v.entries(a) {
		}
		host := "Host: " + strings.TrimPrefix(ofA.URL, "http://")

		v.key("tenants/"+a, "6")
		again := v.site(a, options, secretAnswer)
		assert.Contains(t, ofA.Get("/page", "Accept-Encoding: gzip").CacheStatus(), "store-key", "what was ready has ended, too")
		v.hits(again, "/page", secretPage)
		v.set(name, value) // from a snapshot
		assert.Contains(t, again.Get("/page", host).CacheStatus(), "store-key")
		assert.Contains(t, ofB.Get("/page").CacheStatus(), "; hit")

		require.NoError(t, os.Remove(filepath.Join(own, a)))
		_, err := load(context.Background(), http.NotFoundHandler(), again.Options)
		assert.ErrorContains(t, err, "encryption.tenantKeys: tenant "+a)
	})
}

// TestNoWayBackToClearText: where keys are taken away, what is encrypted is a miss. What was there before keys
// came is a miss, too, so that nobody who can write to Redis has a page that needs no key.
func TestNoWayBackToClearText(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		v := newVault(t, load)
		tenant := v.tenant()
		plain := v.site(tenant, nil, secretAnswer)
		host := "Host: " + strings.TrimPrefix(plain.URL, "http://")
		require.Contains(t, plain.Get("/page").CacheStatus(), "; stored")
		sealed := v.site(tenant, site.Options{"keys": []string{v.key("1", "1")}}, secretAnswer)
		assert.Contains(t, sealed.Get("/page", host).CacheStatus(), "store-plain")
		assert.Contains(t, sealed.Get("/page", host).CacheStatus(), "; hit")
		assert.Contains(t, plain.Get("/page").CacheStatus(), "store-key")
		assert.Contains(t, plain.Get("/page").CacheStatus(), "; hit")
	})
}

// TestEncryptedVariants: lists of variants lead to their pages, are followed where they change, and are dropped
// with their variants.
func TestEncryptedVariants(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		v := newVault(t, load)
		tenant := v.tenant()
		answer := func(rw http.ResponseWriter, r *http.Request) {
			site.Page("for "+r.Header.Get("X-Kind"), "Cache-Control: max-age=600", "Vary: X-Kind")(rw, r)
		}
		s := v.site(tenant, site.Options{"keys": []string{v.key("1", "1")}}, answer)
		fill := func() {
			for i := 0; i < 4; i++ {
				for _, kind := range []string{"one", "two"} {
					got := s.Get("/page", "X-Kind: "+kind)
					assert.Equal(t, "for "+kind, got.Body)
					if i > 1 {
						assert.Contains(t, got.CacheStatus(), "; hit", "%d %s", i, kind)
					}
				}
			}
		}
		fill()
		require.Len(t, v.entries(tenant), 3)
		s.Do(http.MethodPost, "/page", "x")
		assert.Empty(t, v.entries(tenant), "the list is dropped, and its variants with it")
		fill()
		all := v.entries(tenant)
		require.Len(t, all, 3)
		lists := 0
		for name, value := range all {
			first := strings.SplitN(value, "\n", 2)[0]
			if _, variants, is := strings.Cut(first, " list "); is {
				lists++
				for _, id := range strings.Fields(variants) {
					assert.Contains(t, all, "oc:{"+tenant+"}:e:"+id)
				}
				assert.Len(t, strings.Fields(variants), 2)
				v.set(name, value[:len(value)-1])
			}
		}
		assert.Equal(t, 1, lists)
		assert.Contains(t, s.Get("/page", "X-Kind: one").CacheStatus(), "store-corrupt", "a list that has changed")
		fill()
	})
}

// TestEncryptedElsewhere: in a cluster, and behind a memory tier, where pages are in clear in this process alone.
func TestEncryptedElsewhere(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		v := newVault(t, load)
		encryption := site.Options{"keys": []string{v.key("1", "1")}}
		nodes := clusterOf(t)
		for name, options := range map[string]site.Options{
			"cluster": {"redis": patientRedis(site.Options{"cluster": site.Options{"addresses": []string{nodes[0].Address}}}), "memory": site.Options{"bytes": "0"}},
			"memory":  {"redis": patientRedis(site.Options{"address": v.socket})},
		} {
			options["encryption"] = encryption
			s := site.New(t, load, options, secretAnswer)
			v.hits(s, "/page", secretPage)
			count := s.Count.Load()
			v.hits(s, "/page", secretPage)
			assert.Equal(t, count, s.Count.Load(), name)
			tenant := fmt.Sprint(s.Options["tenant"])
			if name == "cluster" {
				for _, key := range nodes[0].Entries(tenant) {
					assert.Regexp(t, "^oc2 ", nodes[0].Must("GET "+key))
				}
				assert.NotEmpty(t, nodes[0].Entries(tenant))
				continue
			}
			_, value := v.entry(tenant)
			assert.Regexp(t, "^oc2 ", value)
		}
	})
}

// TestKeysThatOthersRead: a file with a key that everybody on the machine may read is named in the log, once for each
// storage. No line has anything of a key.
func TestKeysThatOthersRead(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		v := newVault(t, load)
		mark := site.Log.Mark()
		closed, open := v.key("closed", "7"), v.key("open", "8")
		require.NoError(t, os.Chmod(open, 0o644))
		for i := 0; i < 2; i++ {
			storesAndHits(t, v.site(v.tenant(), site.Options{"keys": []string{closed, open}}, secretAnswer), "/page")
		}
		assert.Len(t, site.Log.With("everybody on this machine may read "+open, mark), 1)
		assert.Empty(t, site.Log.With("everybody on this machine may read "+closed, mark))
		assert.Empty(t, site.Log.With("a7a7a7", mark))
	})
}
