package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
)

// same reports whether settings share what options make.
func same(t *testing.T, a, b *config.Settings) bool {
	t.Helper()
	is := a.Prepared == b.Prepared
	assert.Equal(t, is, a.Plan == b.Plan)
	assert.Equal(t, is, a.Default == b.Default)
	if len(a.Rules) > 0 && len(b.Rules) > 0 {
		assert.Equal(t, is, &a.Rules[0] == &b.Rules[0])
	}
	return is
}

// shop are options of a tenant, with a rule of its own and Redis.
func shop(tenant string) *option.Config {
	c := option.Default()
	c.Tenant, c.Preset, c.Languages = tenant, "odoo", []string{"en_US", "fr_FR"}
	c.Purge.Secret = given("the-secret-of-" + tenant)
	c.Redis.Address, c.Redis.Password = "redis:6379", given("hunter2hunter2")
	c.Rules = []option.Rule{{Name: "own", Match: option.Match{
		PathPrefixes: []string{"/own"}, Headers: map[string]interface{}{"X-A": "1"}, Query: map[string]interface{}{"a": "1"}, AnyQuery: map[string]interface{}{"b": "1"},
	}, Require: map[string]interface{}{"X-B": "1"}, Refuse: map[string]interface{}{"X-C": "1"}}}
	return c
}

// TestTenantsShare: tenants that differ in what is their own have all else in common.
func TestTenantsShare(t *testing.T) {
	a, err := config.Build(shop("a"))
	require.NoError(t, err)
	again, err := config.Build(shop("a"))
	require.NoError(t, err)
	b, err := config.Build(shop("b"))
	require.NoError(t, err)
	assert.True(t, same(t, a, again))
	assert.True(t, same(t, a, b))
	assert.Equal(t, []string{"a", "the-secret-of-a"}, []string{a.Tenant, a.Purge.Secret})
	assert.Equal(t, []string{"b", "the-secret-of-b"}, []string{b.Tenant, b.Purge.Secret})
	assert.Equal(t, a.Edge, again.Edge)
	assert.NotEqual(t, a.Edge, b.Edge)
	assert.Equal(t, a.Storage, b.Storage)

	turned := shop("d")
	turned.Purge.PreviousSecret = given("the-former-secret-of-d")
	d, err := config.Build(turned)
	require.NoError(t, err)
	assert.True(t, same(t, a, d), "a secret that is changed makes nothing anew")
	assert.Equal(t, []string{"the-secret-of-d", "the-former-secret-of-d"}, []string{d.Purge.Secret, d.Purge.Previous})
	assert.Empty(t, a.Purge.Previous)
	turned.Purge.PreviousSecret = nil
	without, err := config.Build(turned)
	require.NoError(t, err)
	assert.Empty(t, without.Purge.Previous)
	require.Len(t, d.Edge, 1)
	assert.Regexp(t, "^"+without.Edge[0]+", [0-9a-f]{32}$", d.Edge[0], "the edge is known by both")

	large := shop("e")
	large.Quota.RedisBytes, large.Quota.Purges = "1GiB", "60"
	e, err := config.Build(large)
	require.NoError(t, err)
	assert.True(t, same(t, a, e), "a quota makes nothing anew")
	assert.Equal(t, a.Storage, e.Storage)
	assert.Equal(t, config.QuotaSettings{RedisBytes: 1 << 30, Purges: 60, Bounded: true}, e.Quota)
	assert.Equal(t, config.QuotaSettings{Purges: 6000}, a.Quota, "what one tenant has is not another's")

	none := shop("c")
	none.Purge.Secret = nil
	c, err := config.Build(none)
	require.NoError(t, err)
	assert.True(t, same(t, a, c))
	assert.Empty(t, c.Purge.Secret, "what one tenant has is not another's")
	assert.Equal(t, []string{"odoocache"}, c.Edge)
}

// TestOtherOptionsAreNotShared changes each option alone, whatever comes of it. It walks the
// structs, so that an option cannot be forgotten.
func TestOtherOptionsAreNotShared(t *testing.T) {
	base, err := config.Build(shop("a"))
	require.NoError(t, err)
	own := map[string]bool{"Tenant": true, "Purge.Secret": true, "Purge.SecretFile": true, "Purge.SecretEnv": true,
		"Purge.PreviousSecret": true, "Purge.PreviousSecretFile": true, "Purge.PreviousSecretEnv": true,
		"Quota.MemoryBytes": true, "Quota.MemoryEntries": true, "Quota.RedisBytes": true, "Quota.RedisEntries": true, "Quota.Purges": true, "Quota.Refreshes": true}
	changed, mistakes := 0, 0
	try := func(path string, of func(c *option.Config) reflect.Value, values ...interface{}) {
		for i, value := range values {
			if testing.Short() && i > 1 { // with the race detector, which slows expressions down
				break
			}
			c := shop("a")
			if of(c).Set(reflect.ValueOf(value)); reflect.DeepEqual(of(c).Interface(), of(shop("a")).Interface()) {
				continue
			}
			s, err := config.Build(c)
			changed++
			if err != nil {
				mistakes++
				_, again := config.Build(c)
				require.EqualError(t, again, err.Error(), path)
				continue
			}
			assert.Equal(t, own[path], same(t, base, s), "%s: %v", path, value)
		}
	}
	var walk func(path string, of func(c *option.Config) reflect.Value)
	walk = func(path string, of func(c *option.Config) reflect.Value) {
		v := of(shop("a"))
		switch v.Kind() {
		case reflect.Struct:
			for i := 0; i < v.NumField(); i++ {
				i := i
				walk(strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."), func(c *option.Config) reflect.Value { return of(c).Field(i) })
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Struct {
				walk(path+"[0]", func(c *option.Config) reflect.Value { return of(c).Index(0) })
				return
			}
			try(path, of, []string{"x"}, []string{"x", "y"}, []string{"x,y"}, []string{"fr_BE"}, []string{"10.0.0.0/8"}, []string{"/x"}, []string{"a:1"}, []string{"404"})
		case reflect.Map:
			for _, value := range []interface{}{"x", 1, true, nil} {
				try(path, of, map[string]interface{}{"X-X": value})
				if strings.HasSuffix(path, "Unknown") {
					c := shop("a")
					of(c).Set(reflect.ValueOf(map[string]interface{}{"X-X": value}))
					_, err := config.Build(c)
					require.ErrorContains(t, err, "X-X: unknown option", path)
				}
			}
		case reflect.Ptr:
			try(path, of, given("x"), given("a-secret-of-some"), given(""))
		case reflect.String:
			try(path, of, "2m", "x", "1", "50000", "true", "3MiB", "/x", "")
		default:
			require.Fail(t, "an option of another kind", "%s is a %s: see fingerprintOf", path, v.Kind())
		}
	}
	walk("", func(c *option.Config) reflect.Value { return reflect.ValueOf(c).Elem() })
	assert.Greater(t, changed, 200)
	assert.Greater(t, mistakes, 100)
	assert.Greater(t, changed-mistakes, 20)
}

// TestPatternsOfOtherKinds: what JSON writes in one way is a pattern, or a mistake.
func TestPatternsOfOtherKinds(t *testing.T) {
	with := func(value interface{}) error {
		c := shop("a")
		c.Rules[0].Require = map[string]interface{}{"X-B": value}
		_, err := config.Build(c)
		return err
	}
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{"2020-01-01T00:00:00Z", at.String(), "MTIz", "123", `["1"]`, "true", "null"} {
		require.NoError(t, with(text), text)
	}
	require.NoError(t, with(nil))
	require.NoError(t, with(123))
	for _, value := range []interface{}{at, []byte("123"), []interface{}{"1"}, true} {
		require.ErrorContains(t, with(value), "rules[0].require.X-B: ", "%v", value)
	}
}

// TestInvalidBytesAreNotShared: two texts with bytes that are none look the same in JSON.
func TestInvalidBytesAreNotShared(t *testing.T) {
	with := func(path string) *config.Settings {
		c := shop("a")
		c.Rules[0].Match.PathPrefixes = []string{path}
		s, err := config.Build(c)
		require.NoError(t, err)
		return s
	}
	assert.False(t, same(t, with("/\xff"), with("/\xfe")))
	assert.Equal(t, "/\xfe", with("/\xfe").Rules[0].Match.Prefixes[0])
	assert.True(t, same(t, with("/\ufffd"), with("/\ufffd")))
}

// TestMistakesAreNotRemembered: they are named each time, all at once, whether the rest of the
// options is known or not.
func TestMistakesAreNotRemembered(t *testing.T) {
	_, err := config.Build(shop("a"))
	require.NoError(t, err)
	bad := shop("")
	bad.Purge.Secret = given("short")
	for i := 0; i < 3; i++ {
		_, err = config.Build(bad)
		require.ErrorContains(t, err, "2 mistake(s): ")
		require.ErrorContains(t, err, "tenant: ")
		require.ErrorContains(t, err, "purge.secret: has 5 characters")
	}
	bad.Keep = "x"
	for i := 0; i < 3; i++ {
		_, err = config.Build(bad)
		require.ErrorContains(t, err, "3 mistake(s): ")
		require.ErrorContains(t, err, "keep: ")
	}
	bad.Keep = "1h"
	_, err = config.Build(bad)
	require.ErrorContains(t, err, "2 mistake(s): ")
	_, err = config.Build(shop("a"))
	require.NoError(t, err)
}

// TestFilesAreReadAgain: secrets and certificates count as they are now.
func TestFilesAreReadAgain(t *testing.T) {
	cert, key := certificate(t)
	password, secret, former := filepath.Join(t.TempDir(), "password"), filepath.Join(t.TempDir(), "secret"), filepath.Join(t.TempDir(), "former")
	write := func(file, text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	of := func() *option.Config {
		c := shop("a")
		c.Redis.Password, c.Redis.PasswordFile = nil, &password
		c.Purge.Secret, c.Purge.SecretFile = nil, &secret
		c.Redis.TLS = option.TLS{Enabled: "true", CAFile: cert, CertFile: cert, KeyFile: key}
		return c
	}
	write(password, "first")
	write(secret, "the first secret\n")
	first, err := config.Build(of())
	require.NoError(t, err)
	again, err := config.Build(of())
	require.NoError(t, err)
	assert.True(t, same(t, first, again))

	write(secret, "the second secret")
	again, err = config.Build(of())
	require.NoError(t, err)
	assert.True(t, same(t, first, again))
	assert.Equal(t, "the second secret", again.Purge.Secret)
	assert.Equal(t, "the first secret", first.Purge.Secret)
	turned := of()
	turned.Purge.PreviousSecretFile = &former
	for _, text := range []string{"the first secret\n", "the secret before that"} {
		write(former, text)
		again, err = config.Build(turned)
		require.NoError(t, err)
		assert.True(t, same(t, first, again))
		assert.Equal(t, strings.TrimSpace(text), again.Purge.Previous)
	}
	write(former, "the second secret\n")
	_, err = config.Build(turned)
	require.ErrorContains(t, err, "1 mistake(s): purge.previousSecretFile: is purge.secret, too")
	write(secret, "")
	_, err = config.Build(of())
	require.ErrorContains(t, err, "1 mistake(s): purge.secretFile")
	write(secret, "the second secret")

	write(password, "second")
	again, err = config.Build(of())
	require.NoError(t, err)
	assert.False(t, same(t, first, again))
	assert.Equal(t, "second", again.Storage.Redis.Password)
	assert.Equal(t, first.Storage.Fingerprint, again.Storage.Fingerprint, "it is the same storage")
	for _, text := range []string{"", "a\nb", strings.Repeat("x", 1<<17), strings.Repeat("x", 1<<21)} {
		write(password, text)
		_, err = config.Build(of())
		require.ErrorContains(t, err, "mistake(s): redis.passwordFile", "%d bytes", len(text))
	}
	require.NoError(t, os.Remove(password))
	_, err = config.Build(of())
	require.ErrorContains(t, err, "mistake(s): redis.passwordFile")

	write(password, "first")
	again, err = config.Build(of())
	require.NoError(t, err)
	assert.True(t, same(t, first, again), "as it was")
	otherCert, otherKey := certificate(t)
	for from, to := range map[string]string{otherCert: cert, otherKey: key} {
		pem, err := os.ReadFile(from)
		require.NoError(t, err)
		write(to, string(pem))
	}
	again, err = config.Build(of())
	require.NoError(t, err)
	assert.False(t, same(t, first, again))
	assert.NotEqual(t, first.Storage.Redis.TLS.Certificates, again.Storage.Redis.TLS.Certificates)
	write(key, "none")
	_, err = config.Build(of())
	require.ErrorContains(t, err, "redis.tls.certFile")

	t.Run("variables", func(t *testing.T) {
		name := "ODOOCACHE_TEST_KEPT"
		of := func() *option.Config {
			c := shop("a")
			c.Redis.Password, c.Redis.PasswordEnv = nil, &name
			return c
		}
		t.Setenv(name, "first")
		first, err := config.Build(of())
		require.NoError(t, err)
		t.Setenv(name, "second")
		second, err := config.Build(of())
		require.NoError(t, err)
		assert.False(t, same(t, first, second))
		assert.Equal(t, "second", second.Storage.Redis.Password)
		t.Setenv(name, "")
		_, err = config.Build(of())
		require.ErrorContains(t, err, "redis.passwordEnv")
	})
}

// TestKeysAreReadAgain: a key that has changed in its file makes another storage. A tenant's own one makes
// nothing anew, and is nobody else's.
func TestKeysAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	write := func(name, digit string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(digit, 63)+"7\n"), 0o600))
		return path
	}
	of := func(tenant string, encryption option.Encryption) *config.Settings {
		c := shop(tenant)
		c.Encryption = encryption
		s, err := config.Build(c)
		require.NoError(t, err)
		return s
	}
	one, two := write("one", "1"), write("two", "2")
	plain := of("a", option.Encryption{})
	assert.Empty(t, plain.Storage.Encryption.Keys)
	first := of("a", option.Encryption{Keys: []string{one}})
	assert.True(t, same(t, first, of("b", option.Encryption{Keys: []string{one}})), "tenants share a storage")
	prints := map[string]bool{plain.Storage.Fingerprint: true, first.Storage.Fingerprint: true}
	for _, keys := range [][]string{{two}, {two, one}, {one, two}} {
		s := of("a", option.Encryption{Keys: keys})
		assert.False(t, same(t, first, s))
		assert.Len(t, s.Storage.Encryption.Keys, len(keys))
		prints[s.Storage.Fingerprint] = true
	}
	assert.Len(t, prints, 5)
	before := first.Storage.Encryption.Keys[0]
	write("one", "3")
	again := of("a", option.Encryption{Keys: []string{one}})
	assert.False(t, same(t, first, again))
	assert.NotEqual(t, first.Storage.Fingerprint, again.Storage.Fingerprint)
	assert.Equal(t, before, first.Storage.Encryption.Keys[0], "what is kept does not change")

	write("own/a", "a")
	write("own/b", "b")
	apart := option.Encryption{Keys: []string{two}, TenantKeys: filepath.Join(dir, "own")}
	a, b := of("a", apart), of("b", apart)
	assert.True(t, same(t, a, b))
	assert.Equal(t, a.Storage, b.Storage)
	assert.NotEqual(t, a.Storage.Fingerprint, of("a", option.Encryption{Keys: []string{two}}).Storage.Fingerprint)
	assert.NotEqual(t, a.Key, b.Key)
	assert.Len(t, a.Key, 32)
	assert.Nil(t, first.Key)
	write("own/a", "c")
	turned := of("a", apart)
	assert.True(t, same(t, a, turned))
	assert.NotEqual(t, a.Key, turned.Key)
	require.NoError(t, os.Remove(filepath.Join(dir, "own/a")))
	c := shop("a")
	c.Encryption = apart
	_, err := config.Build(c)
	require.ErrorContains(t, err, "1 mistake(s): encryption.tenantKeys: tenant a: ")
	of("b", apart)
}

// TestEncryptionNeedsRedis: memory is not encrypted, and no key is worse than none that is said.
func TestEncryptionNeedsRedis(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("1", 63)+"7\n"), 0o600))
	assert.Equal(t, one+"encryption.keys: is set, but there is no Redis, and memory is not encrypted; expected redis.address, or no keys",
		problem(t, func(c *option.Config) { c.Encryption.Keys = []string{key} }))
	own := filepath.Join(filepath.Dir(key), "own")
	require.NoError(t, os.Mkdir(own, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(own, "default"), []byte(strings.Repeat("2", 63)+"7\n"), 0o600))
	assert.Equal(t, one+"encryption.keys: is empty, but encryption.tenantKeys is set; expected at least one file with a key",
		problem(t, func(c *option.Config) { c.Redis.Address, c.Encryption.TenantKeys = "redis:6379", own }))
	assert.Equal(t, one+"encryption.keys: has 17 members; expected at most 16",
		problem(t, func(c *option.Config) { c.Redis.Address, c.Encryption.Keys = "redis:6379", make([]string, 17) }))
	assert.Equal(t, one+"encryption.x: unknown option",
		problem(t, func(c *option.Config) { c.Encryption.Unknown = map[string]interface{}{"x": 1} }))
}

// TestKeptIsBounded: no more is kept than may be, and what is not in use goes.
func TestKeptIsBounded(t *testing.T) {
	defer config.Forget()
	config.Forget()
	with := func(i int) *config.Settings {
		c := option.Default()
		c.Name = fmt.Sprintf("n%d", i)
		s, err := config.Build(c)
		require.NoError(t, err)
		return s
	}
	first := with(0)
	for i := 1; i < config.MaxKept+100; i++ {
		with(i)
	}
	assert.Equal(t, config.MaxKept, config.Kept())
	assert.True(t, same(t, first, with(0)))
	assert.False(t, same(t, with(config.MaxKept+50), with(config.MaxKept+50)), "there was no room")

	began := time.Now()
	assert.True(t, same(t, first, with(0)))
	config.Sweep(began)
	assert.Equal(t, 1, config.Kept(), "what was asked for since stays")
	assert.True(t, same(t, first, with(0)))
	assert.True(t, same(t, with(config.MaxKept+50), with(config.MaxKept+50)))
	config.Sweep(time.Now().Add(time.Hour))
	assert.Zero(t, config.Kept())
	assert.False(t, same(t, first, with(0)))
}

// TestMadeIsBounded: so are expressions and sets of names.
func TestMadeIsBounded(t *testing.T) {
	large := strings.Repeat("x", 900)
	for i := 0; i < 700; i++ {
		c := option.Default()
		c.Rules = []option.Rule{{Match: option.Match{PathRegexp: fmt.Sprintf("^/%d%s", i, large)}, Query: option.Query{Keep: []string{fmt.Sprint(i, large)}}}}
		_, err := config.Build(c)
		require.NoError(t, err)
		made, most := config.Made()
		require.LessOrEqual(t, made, most)
	}
	config.Forget()
}
