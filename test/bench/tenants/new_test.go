package tenants_test

import (
	"context"
	"fmt"
	"net/http"
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
		"purge": site.Options{"secret": fmt.Sprintf("the secret of %d", tenant)},
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
