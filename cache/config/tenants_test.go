package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
)

func listFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tenants.json")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// TestMistakesInTenants: each is named with the path of what is wrong, all at once.
func TestMistakesInTenants(t *testing.T) {
	secret := "the secret of all"
	for _, c := range []struct {
		name string
		edit func(o *option.Config)
		want []string
	}{
		{"two ways", func(o *option.Config) { o.Tenants.Hosts = []string{"{tenant}.example"}; o.Tenants.Header = "X-Tenant" }, []string{"tenants.header"}},
		{"a tenant besides", func(o *option.Config) { o.Tenants.Header = "X-Tenant"; o.Tenant = "shop" }, []string{"tenant: "}},
		{"two lists", func(o *option.Config) { o.Tenants.File = "/none"; o.Tenants.Redis = "oc:tenants" }, []string{"tenants.redis", "no redis.address", "tenants.file"}},
		{"no pattern", func(o *option.Config) { o.Tenants.Hosts = []string{"{tenant}", "shops.example"} }, []string{"tenants.hosts[0]", "tenants.hosts[1]"}},
		{"a field that means something", func(o *option.Config) { o.Tenants.Header = "Cookie" }, []string{"tenants.header"}},
		{"a field of the cache", func(o *option.Config) { o.Tenants.Header = "X-Odoo-Purge" }, []string{"tenants.header"}},
		{"numbers", func(o *option.Config) { o.Tenants.Max = "0"; o.Tenants.Refresh = "0"; o.Tenants.Header = "X-T" }, []string{"tenants.max", "tenants.refresh"}},
		{"without use", func(o *option.Config) { o.Tenants.Max = "x" }, []string{"tenants.max"}},
		{"alone", func(o *option.Config) { o.Tenants.Refresh = "5s" }, []string{"tenants: refresh or max is set"}},
		{"unknown", func(o *option.Config) { o.Tenants.Unknown = map[string]interface{}{"host": "x"} }, []string{"tenants.host: unknown option"}},
		{"a hash of a cluster's slot", func(o *option.Config) { o.Tenants.Redis = "a b"; o.Redis.Address = "127.0.0.1:6379" }, []string{"tenants.redis"}},
		{"no file", func(o *option.Config) { o.Tenants.File = "/no/such/file" }, []string{"tenants.file"}},
	} {
		o := option.Default()
		o.Purge.Secret = &secret
		c.edit(o)
		_, err := config.Build(o)
		require.Error(t, err, c.name)
		for _, want := range c.want {
			assert.Contains(t, err.Error(), want, c.name)
		}
	}
	for text, want := range map[string][]string{
		``:                                  {"expected a JSON object"},
		`[]`:                                {"expected a JSON object"},
		`{"a": {"hosts": ["a.example"]}`:    {"expected a JSON object"},
		`{"a": {"hosts": ["a.example"]}} x`: {"expected a JSON object"},
		`{}`:                                {"the list is empty"},
		`{"a": {"hosts": ["a.example"], "quota": {"memoryBytes": "1"}}}`:   {`a.quota.memoryBytes: "1"; expected 0 for none, or at least 64KiB`},
		`{"a": {"hosts": ["a.example"], "quota": {"memory": "1"}}}`:        {`a.quota: json: unknown field "memory"`},
		`{"a": {"hosts": ["a.example"], "quota": {"purges": 600}}}`:        {`a.quota: `, "each a text"},
		`{"a": {"hosts": ["a.example"], "quota": {"redisBytes": "1MiB"}}}`: {`a.quota.redisBytes: "1MiB", and there is no Redis`},
		`{"a": {"hosts": ["a.example"], "retention": "0"}}`:                {`a.retention: "0"; expected a duration above 0`},
		"\ufeff{}": {"begins with a byte order mark"},
		`{"a": {"hosts": ["a.example"], "hosts": ["b.example"]}}`:                       {"a: hosts is there twice"},
		`{"a": {"hosts": "a.example"}}`:                                                 {"a: hosts is a JSON string"},
		`{"a": {"hosts": ["a.example"], "purge": "the secret of a"}}`:                   {"a: purge is a JSON string"},
		`{"a": {"hosts": ["https://a.example", "a.example, b.example", "a.example/"]}}`: {"a.hosts[0]", "a.hosts[1]", "a.hosts[2]"},
		`{"a": null}`:                       {"a: is no JSON object"},
		`{"a": ["a.example"]}`:              {"a: "},
		`{"a": {"host": ["a.example"]}}`:    {`a: json: unknown field "host"`},
		`{"a": {}}`:                         {"a.hosts"},
		`{"a b": {"hosts": ["a.example"]}}`: {`"a b"; expected a name`},
		`{"a": {"hosts": ["a.example"]}, "A": {"hosts": ["b.example"]}}`:                                                                           {"A: is there twice, as a"},
		`{"a": {"hosts": ["a.example"]}, "a": {"hosts": ["b.example"]}}`:                                                                           {"a: is there twice"},
		`{"a": {"hosts": ["a.example", "b c", "*.example", ""]}}`:                                                                                  {"a.hosts[1]", "a.hosts[2]", "a.hosts[3]"},
		`{"a": {"hosts": ["a.example"]}, "b": {"hosts": ["WWW.A.example:80"]}}`:                                                                    {`b.hosts[0]: "a.example" is one of a, too`},
		`{"a": {"hosts": ["a.example"], "purge": {"secret": ""}}}`:                                                                                 {"a.purge.secret: is given, but empty"},
		`{"a": {"hosts": ["a.example"], "purge": {"secret": "short"}}}`:                                                                            {"a.purge.secret: has 5 characters"},
		`{"a": {"hosts": ["a.example"], "purge": {"secretFile": "/none"}}}`:                                                                        {"a.purge.secretFile"},
		`{"a": {"hosts": ["a.example"], "purge": {"previousSecret": "long enough"}}}`:                                                              {"a.purge.previousSecret"},
		`{"a": {"hosts": ["a.example"], "purge": {"secret": "one and only"}}, "b": {"hosts": ["b.example"], "purge": {"secret": "one and only"}}}`: {"b.purge: has a secret of a"},
		`{"a": {"hosts": ["a.example"], "purge": {"secret": "the secret of all"}}}`:                                                                {"a.purge: has the secret from which"},
	} {
		o := option.Default()
		o.Purge.Secret = &secret
		o.Tenants.File = listFile(t, text)
		_, err := config.Build(o)
		require.Error(t, err, text)
		for _, w := range append(want, "tenants.file") {
			assert.Contains(t, err.Error(), w, text)
		}
		assert.NotContains(t, err.Error(), "one and only", "no secret is shown")
	}
	o := option.Default()
	all := make([]string, 3)
	for i := range all {
		all[i] = fmt.Sprintf(`"t%d": {"hosts": ["t%d.example"]}`, i, i)
	}
	o.Tenants.File, o.Tenants.Max = listFile(t, "{"+strings.Join(all, ",")+"}"), "2"
	_, err := config.Build(o)
	require.ErrorContains(t, err, "expected at most tenants.max, which is 2")
}

// TestTenantsHaveTheirOwn: of one list each tenant has its secrets, and all share the rest.
func TestTenantsHaveTheirOwn(t *testing.T) {
	o := option.Default()
	all, former := "the secret of all", "the former of all"
	o.Purge.Secret, o.Purge.PreviousSecret = &all, &former
	o.Quota.MemoryEntries = "7"
	o.Tenants.File = listFile(t, `{"Acme": {"hosts": ["acme.example", "www.acme.example"], "purge": {"secret": "own secret of acme"}, "quota": {"purges": "100"}, "retention": "1h"}, "other": {"hosts": ["other.example"]}}`)
	s, err := config.Build(o)
	require.NoError(t, err)
	acme, err := s.For(s.List.Names["acme"])
	require.NoError(t, err)
	other, err := s.For(s.List.Hosts["other.example"])
	require.NoError(t, err)
	assert.Equal(t, "Acme", acme.Tenant)
	assert.Equal(t, "own secret of acme", acme.Purge.Secret)
	assert.Empty(t, acme.Purge.Previous, "what all have does not count for it")
	assert.Equal(t, []string{"acme.example"}, s.List.Names["acme"].Hosts)
	assert.Equal(t, config.TenantSecret(all, "other"), other.Purge.Secret)
	assert.Equal(t, config.TenantSecret(former, "other"), other.Purge.Previous)
	assert.NotEqual(t, config.TenantSecret(all, "other"), config.TenantSecret(all, "another"))
	assert.Equal(t, "", config.TenantSecret("", "other"), "no secret makes none")
	assert.Same(t, acme.Plan, other.Plan)
	assert.Equal(t, 100, acme.Quota.Purges)
	assert.Equal(t, 7, acme.Quota.MemoryEntries, "what it does not say is that of all")
	assert.Equal(t, 6000, other.Quota.Purges)
	assert.Equal(t, int64(3600*1000), acme.Retention)
	assert.Equal(t, int64(0), other.Retention)
}
