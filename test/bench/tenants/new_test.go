package tenants_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// maker makes middlewares in an interpreter, as Traefik does for each router.
type maker struct {
	t           testing.TB
	create, new reflect.Value
	next        reflect.Value
}

func newMaker(t testing.TB) *maker {
	if site.RaceEnabled {
		t.Skip("the race detector sees the interpreter instead of the plugin")
	}
	i, err := site.NewInterpreter(nil)
	require.NoError(t, err)
	m := &maker{t: t}
	m.create, err = i.Eval("odoocache.CreateConfig")
	require.NoError(t, err)
	m.new, err = i.Eval("odoocache.New")
	require.NoError(t, err)
	next := http.Handler(http.NotFoundHandler())
	m.next = reflect.ValueOf(&next).Elem()
	return m
}

// options are those of a tenant, as decoded.
func (m *maker) options(tenant int, o site.Options) reflect.Value {
	c := m.create.Call(nil)[0]
	all := site.Options{
		"preset": "odoo", "tenant": fmt.Sprintf("t%d", tenant), "redis": site.Options{"address": "127.0.0.1:1"},
		"purge": site.Options{"secret": fmt.Sprintf("the-secret-of-%d", tenant)},
	}
	for name, value := range o {
		all[name] = value
	}
	require.NoError(m.t, site.Decode(all, c.Interface()))
	return c
}

// make makes a middleware.
func (m *maker) make(ctx context.Context, options reflect.Value) interface{} {
	out := m.new.Call([]reflect.Value{reflect.ValueOf(&ctx).Elem(), m.next, options, reflect.ValueOf("test@file")})
	err, _ := out[1].Interface().(error)
	require.NoError(m.t, err)
	return out[0].Interface()
}

// What a middleware may cost whose options others have, too, but for its tenant and its secret:
// 1.1 times what was measured. With each of them that reads the preset anew it would be 170,000
// allocations and 2 MB.
const (
	newAllocs = 860      // of New
	newBytes  = 24 << 10 // of heap that a tenant with two of them holds
)

// TestNewAllocations: allocations do not depend on what else the machine does, so a
// regression fails here.
func TestNewAllocations(t *testing.T) {
	m := newMaker(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.make(ctx, m.options(0, nil))
	for name, o := range map[string]site.Options{
		"the same":           nil,
		"no secret":          {"purge": site.Options{}},
		"a secret in a file": {"purge": site.Options{"secretFile": secretFile(t)}},
	} {
		most := newAllocs
		if o["purge"] != nil && name != "no secret" {
			most *= 2 // it is read
		}
		options := m.options(1, o)
		m.make(ctx, options)
		least := -1.0
		for i := 0; i < 3; i++ { // now and then something else allocates
			if n := testing.AllocsPerRun(20, func() { m.make(ctx, options) }); least < 0 || n < least {
				least = n
			}
		}
		require.LessOrEqual(t, least, float64(most), name)
		require.Greater(t, least, 100.0, "it is interpreted")
	}
}

func secretFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("the secret of a file\n"), 0o600))
	return file
}

// TestReloadsHoldNothing: after any number of reloads there is as much in use as after one. What a
// router had before, such as the handlers behind it, is not held on to.
func TestReloadsHoldNothing(t *testing.T) {
	m := newMaker(t)
	const tenants = 100
	var handlers []interface{}
	end := func() {}
	reload := func() {
		end() // as Traefik does it, before it makes the next ones
		var ctx context.Context
		ctx, end = context.WithCancel(context.Background())
		handlers = handlers[:0]
		for i := 0; i < 2*tenants; i++ {
			router := context.WithValue(ctx, routerKey{}, make([]byte, 1000)) // each has one of its own
			handlers = append(handlers, m.make(router, m.options(i/2, nil)))
		}
	}
	defer func() { end() }()
	m.make(context.Background(), m.options(0, nil))
	before := heap()
	reload()
	first := heap()
	require.LessOrEqual(t, (first-before)/tenants, newBytes)
	for i := 0; i < 12; i++ {
		reload()
	}
	require.LessOrEqual(t, heap()-first, tenants*1000, "bytes more after 12 reloads: a router has 1000 of its own")
	runtime.KeepAlive(handlers)
}

type routerKey struct{}

// TestNewInterpreted: what is kept does not hide a mistake, and is not taken for something else.
func TestNewInterpreted(t *testing.T) {
	m := newMaker(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	problem := func(o site.Options) string {
		out := m.new.Call([]reflect.Value{reflect.ValueOf(&ctx).Elem(), m.next, m.options(1, o), reflect.ValueOf("test@file")})
		err, _ := out[1].Interface().(error)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	rule := func(value interface{}) site.Options {
		return site.Options{"rules": []site.Options{{"match": site.Options{"pathPrefixes": []string{"/x"}}, "require": site.Options{"X-A": value}}}}
	}
	for i := 0; i < 2; i++ {
		require.Empty(t, problem(nil))
		require.Contains(t, problem(site.Options{"tenant": "a b", "purge": site.Options{"secret": "short"}}), "2 mistake(s): tenant: ")
		require.Contains(t, problem(site.Options{"tenant": "a b", "keep": "x"}), "2 mistake(s): keep: ")
		require.Contains(t, problem(site.Options{"?": site.Options{"typo": 1}}), "1 mistake(s): typo: unknown option")
		require.Contains(t, problem(site.Options{"purge": site.Options{"?": site.Options{"typo": 1}}}), "1 mistake(s): purge.typo: unknown option")
		require.Empty(t, problem(rule("true")))
		require.Contains(t, problem(rule(true)), "1 mistake(s): rules[0].require.X-A: ")
		require.Contains(t, problem(site.Options{"purge": site.Options{"secretFile": "/nowhere"}}), "1 mistake(s): purge.secretFile: ")
		require.Contains(t, problem(site.Options{"redis": site.Options{"address": "a:1", "passwordFile": "/nowhere"}}), "mistake(s): redis.passwordFile: ")
	}
}

// BenchmarkNew measures a middleware whose options others have, too.
func BenchmarkNew(b *testing.B) {
	m := newMaker(b)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.make(ctx, m.options(0, nil))
	options := m.options(1, nil)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		m.make(ctx, options)
	}
}

// heap returns what is in use.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
