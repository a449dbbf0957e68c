package storage_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are entries by the names of their golden files. Files of entries that
// were once written stay, and must decode for ever.
func samples() map[string]*storage.Entry {
	return map[string]*storage.Entry{
		"page": {
			Tenant: "acme", Key: "4:acme5:pages5:https12:shop.example", Host: "shop.example", Path: "/shop/größe",
			Epoch: 1125899906842625, Seq: 7, Tags: []string{"AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBB"},
			Life: policy.Life{
				Born: 1700000000123, TTL: 600000, Grace: 3600000, StaleIfError: 86400000, Keep: 1000,
				NeverStale: true, Public: true,
			},
			Status: 200, Body: []byte("<html>\r\n\x00\xff page</html>\n"),
			Header: http.Header{
				"Content-Type": {"text/html; charset=utf-8"}, "Set-Cookie": {"a=b; Path=/", "c=d"}, "X-Empty": {""},
				"X-Bytes": {"caf\xe9 \"quoted\", tab\there"},
			},
		},
		"list": {
			Tenant: "acme", Key: "4:acme", Host: "shop.example", Path: "/", Epoch: 2251799813685247, Seq: 1,
			Life: policy.Life{Born: 1700000000123, TTL: 1, NoCache: true, Shared: true},
			Vary: []string{"accept", "accept-language"}, Variants: []string{strings.Repeat("v", 43), strings.Repeat("w", 43)},
			Header: http.Header{}, Body: []byte{},
		},
		"empty": {Status: 204, Header: http.Header{}, Body: []byte{}},
	}
}

func encode(t testing.TB, e *storage.Entry) []byte {
	t.Helper()
	b, err := storage.Encode(e)
	require.NoError(t, err)
	return b
}

func TestCodecRoundTrip(t *testing.T) {
	for name, e := range samples() {
		t.Run(name, func(t *testing.T) {
			got, err := storage.Decode(encode(t, e))
			require.NoError(t, err)
			require.Equal(t, e, got)
			again, err := storage.Decode(encode(t, got))
			require.NoError(t, err)
			require.Equal(t, e, again)
		})
	}
}

// Each field changes what is stored and comes back: one that is forgotten in
// either direction would show.
func TestCodecEveryField(t *testing.T) {
	var set func(v reflect.Value, name string, each func(name string))
	e := storage.Entry{Status: 200, Header: http.Header{}, Body: []byte{}}
	plain := encode(t, &e)
	check := func(name string) {
		b := encode(t, &e)
		got, err := storage.Decode(b)
		require.NoError(t, err, name)
		require.Equal(t, &e, got, name)
		require.NotEqual(t, plain, b, name)
	}
	set = func(v reflect.Value, name string, each func(string)) {
		before := reflect.ValueOf(v.Interface())
		switch x := v.Addr().Interface().(type) {
		case *string:
			*x = "x"
		case *int64:
			*x = -42
		case *int:
			*x = 299
		case *bool:
			*x = true
		case *[]string:
			*x = []string{"a", "b"}
		case *[]byte:
			*x = []byte("x")
		case *http.Header:
			*x = http.Header{"A": {"b"}}
		case **storage.Sealed: // is known of an entry that was read, and not part of it
			return
		default:
			for i := 0; i < v.NumField(); i++ {
				set(v.Field(i), name+"."+v.Type().Field(i).Name, each)
			}
			return
		}
		each(name)
		v.Set(before)
	}
	set(reflect.ValueOf(&e).Elem(), "Entry", check)
}

func TestCodecGolden(t *testing.T) {
	all := samples()
	for name, e := range all {
		path := filepath.Join("testdata", "v1-"+name+".entry")
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(path, encode(t, e), 0o644))
		}
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		got, err := storage.Decode(b)
		require.NoError(t, err, name)
		assert.Equal(t, e, got, name)
		assert.Equal(t, string(b), string(encode(t, e)), "%s: what is written has changed; if entries of before can be read all the same, run with -update", name)
	}
	files, err := filepath.Glob("testdata/v1-*.entry")
	require.NoError(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = storage.Decode(b)
		assert.NoError(t, err, file)
	}
}

// A later version may add fields at the end of meta: this one reads the rest.
func TestCodecLaterField(t *testing.T) {
	e := samples()["page"]
	b := encode(t, e)
	variants := strings.Join(e.Variants, " ")
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	var sum, meta, header, body int
	_, err := fmt.Sscanf(string(b), "oc1 %x %d %d %d\n", &sum, &meta, &header, &body)
	require.NoError(t, err)
	added := variants + "\nsomething new"
	changed := string(rest[:meta]) + added[len(variants):] + string(rest[meta:])
	b = []byte(fmt.Sprintf("oc1 %08x %d %d %d\n%s", storage.Checksum([]byte(changed)), meta+len(added)-len(variants), header, body, changed))
	got, err := storage.Decode(b)
	require.NoError(t, err)
	require.Equal(t, e, got)
}

func TestCodecTruncated(t *testing.T) {
	for name, e := range samples() {
		b := encode(t, e)
		for n := 0; n < len(b); n++ {
			got, err := storage.Decode(b[:n:n])
			require.ErrorIs(t, err, storage.ErrCorrupt, "%s, %d bytes", name, n)
			require.Nil(t, got)
		}
		got, err := storage.Decode(append(append([]byte{}, b...), 'x'))
		require.ErrorIs(t, err, storage.ErrCorrupt, "a byte too many")
		require.Nil(t, got)
	}
}

func TestCodecEveryByteChanged(t *testing.T) {
	for name, e := range samples() {
		b := encode(t, e)
		for i := range b {
			for x := 1; x < 256; x++ {
				b[i] ^= byte(x)
				got, err := storage.Decode(b)
				if err == nil {
					require.Equal(t, e, got, "%s: byte %d changed by %#x", name, i, x)
				} else if !errors.Is(err, storage.ErrCorrupt) || got != nil {
					t.Fatalf("%s: byte %d changed by %#x: %v, %v", name, i, x, got, err)
				}
				b[i] ^= byte(x)
			}
		}
	}
}

func TestCodecForeign(t *testing.T) {
	seal := func(rest string, meta, header, body int) string {
		return fmt.Sprintf("oc1 %08x %d %d %d\n%s", storage.Checksum([]byte(rest)), meta, header, body, rest)
	}
	lines := strings.Repeat("\n", 18)
	for _, c := range []struct{ name, value string }{
		{"nothing", ""},
		{"a line break", "\n"},
		{"text", "hello"},
		{"an HTTP response", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"JSON", `{"Tenant":"acme","Status":200}`},
		{"another version", strings.Replace(seal("", 0, 0, 0), "oc1", "oc2", 1)},
		{"a first line without end", "oc1 " + strings.Repeat("0", 1000)},
		{"no meta", seal("", 0, 0, 0)},
		{"meta of empty lines", seal(lines, len(lines), 0, 0)},
		{"a length that is negative", seal("xx", -1, 1, 2)},
		{"lengths beyond all numbers", "oc1 00000000 99999999999999999999 0 0\nx"},
		{"lengths whose sum overflows", "oc1 00000000 9223372036854775807 9223372036854775807 3\nx"},
		{"status 1", seal(sealed("1"), len(sealed("1")), 0, 0)},
		{"status 1000", seal(sealed("1000"), len(sealed("1000")), 0, 0)},
		{"a header that is none", seal(sealed("200")+"no header\r\n", len(sealed("200")), 11, 0)},
		{"a header that does not end", seal(sealed("200")+"A: b\r\nC", len(sealed("200")), 7, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := storage.Decode([]byte(c.value))
			require.ErrorIs(t, err, storage.ErrCorrupt)
			require.Nil(t, e)
		})
	}
	e, err := storage.Decode([]byte(seal(sealed("200"), len(sealed("200")), 0, 0)))
	require.NoError(t, err, "the frame of these cases is right")
	require.Equal(t, 200, e.Status)
}

// sealed is a meta section with a status.
func sealed(status string) string {
	return "t\nk\n\n\n1\n1\n\n0\n0\n0\n0\n0\n0\n0\n0\n0\n" + status + "\n\n"
}

func TestCodecRefusesLineBreaks(t *testing.T) {
	for name, change := range map[string]func(e *storage.Entry){
		"tenant": func(e *storage.Entry) { e.Tenant = "a\nb" },
		"key":    func(e *storage.Entry) { e.Key = "a\nb" },
		"path":   func(e *storage.Entry) { e.Path = "/a\nb" },
		"tag":    func(e *storage.Entry) { e.Tags = []string{"a\nb"} },
	} {
		e := samples()["page"]
		change(e)
		_, err := storage.Encode(e)
		assert.ErrorIs(t, err, storage.ErrCorrupt, name)
	}
}

// Two visitors get headers from one entry: adding a line for one must not
// write into what the other has.
func TestCodecHeaderLinesAreNotShared(t *testing.T) {
	e, err := storage.Decode(encode(t, samples()["page"]))
	require.NoError(t, err)
	for name := range e.Header {
		lines := e.Header[name]
		_ = append(lines, "added")
		require.Equal(t, len(lines), cap(lines), name)
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range samples() {
		f.Add(encode(f, e))
	}
	f.Add([]byte("oc1 00000000 0 0 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkDecode(t, b)
		// The same bytes with the checksum put right, so that what lies behind it
		// is reached, too.
		first, rest, found := bytes.Cut(b, []byte("\n"))
		words := strings.Split(string(first), " ")
		if found && len(words) == 5 {
			words[1] = fmt.Sprintf("%08x", storage.Checksum(rest))
			checkDecode(t, []byte(strings.Join(words, " ")+"\n"+string(rest)))
		}
	})
}

func checkDecode(t *testing.T, b []byte) {
	e, err := storage.Decode(b)
	if err != nil {
		if !errors.Is(err, storage.ErrCorrupt) || e != nil {
			t.Fatalf("%v, %v", e, err)
		}
		return
	}
	again, err := storage.Encode(e)
	if err != nil {
		t.Fatalf("decoded, but cannot be encoded: %v", err)
	}
	e2, err := storage.Decode(again)
	if err != nil {
		t.Fatalf("encoded, but cannot be decoded: %v", err)
	}
	if e.Tenant != e2.Tenant || e.Key != e2.Key || e.Epoch != e2.Epoch || e.Seq != e2.Seq || e.Status != e2.Status ||
		e.Life != e2.Life || !bytes.Equal(e.Body, e2.Body) || !reflect.DeepEqual(e.Tags, e2.Tags) {
		t.Fatalf("%+v became %+v", e, e2)
	}
}
