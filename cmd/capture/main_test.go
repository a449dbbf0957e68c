package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/origin"
	"github.com/odoocache/odoocache/test/source"
)

// A capture of the replay is the capture that is replayed.
func TestCaptureOfAReplay(t *testing.T) {
	o, err := origin.New(origin.Options{})
	require.NoError(t, err)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/web/webclient/version_info" {
			_, _ = io.WriteString(w, `{"result": {"server_version": "19.0"}}`)
			return
		}
		o.ServeHTTP(w, r)
	}))
	defer srv.Close()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	var log bytes.Buffer
	require.NoError(t, run([]string{"-base", srv.URL + "/", "-out", dir, "-times", "2"}, &log))
	assert.Contains(t, log.String(), "Odoo 19.0")

	var want, got index
	for name, idx := range map[string]*index{"want": &want, "got": &got} {
		var data []byte
		if name == "want" {
			data, err = os.ReadFile(source.Path("testdata", "odoo", "index.json"))
		} else {
			data, err = os.ReadFile(filepath.Join(dir, "index.json"))
		}
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, idx))
		for i := range idx.Pages {
			assert.Positive(t, idx.Pages[i].MedianMS)
			assert.Positive(t, idx.Pages[i].ColdMS)
			idx.Pages[i].MedianMS, idx.Pages[i].ColdMS = 0, 0
			if k := idx.Pages[i].Kind; k != "asset" && k != "image" {
				idx.Pages[i].Bytes = 0 // another host, other white space in JSON
			}
		}
	}
	assert.Equal(t, want, got)
	for _, p := range want.Pages {
		a, err := os.ReadFile(source.Path("testdata", "odoo", p.Name+".http"))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(dir, p.Name+".http"))
		require.NoError(t, err)
		headA, bodyA := split(t, a)
		headB, bodyB := split(t, b)
		if p.Kind != "json" {
			assert.True(t, bodyA == bodyB, "%s: another body", p.Name)
			assert.Equal(t, headA, headB, p.Name)
		}
	}
}

// split returns a message's header lines in order, and its body.
func split(t *testing.T, msg []byte) ([]string, string) {
	t.Helper()
	head, body, ok := strings.Cut(string(msg), "\r\n\r\n")
	require.True(t, ok)
	var lines []string
	for _, l := range strings.Split(head, "\r\n")[1:] {
		name, value, _ := strings.Cut(l, ":")
		if !strings.EqualFold(name, "Accept-Ranges") && !strings.EqualFold(name, "Last-Modified") {
			lines = append(lines, http.CanonicalHeaderKey(name)+":"+value)
		}
	}
	sort.Strings(lines)
	return lines, body
}

const (
	id    = "GLv0QBGLPpNU4PN_gTvgLNDlfVqWP2LOC_xPCXdYs1yLRHR3dWZ3mNSUZbBPLVmWBNXGxMx5vTQJGkqXlbFM"
	token = "0123456789abcdef0123456789abcdef01234567o1826940680"
)

// serve answers every connection with the same bytes and returns its address.
func serve(t *testing.T, msg string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, strings.ReplaceAll(msg, "HOST", l.Addr().String()))
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func message(t *testing.T, msg string) (string, error) {
	t.Helper()
	c, err := newClient("http://"+serve(t, msg), 5*time.Second)
	require.NoError(t, err)
	a, err := c.fetch("GET", "/", "", "")
	if err != nil {
		return "", err
	}
	out, err := a.message(c.base)
	return string(out), err
}

func TestMarkers(t *testing.T) {
	assert.Len(t, markerToken, len(token))
	assert.Len(t, token, 51)
	const date = "Date: Mon, 23 Nov 2026 03:34:13 GMT\r\n"
	body := `<a href="http://HOST/x"> csrf_token: '` + token + `', value="` + token + `"`
	got, err := message(t, "HTTP/1.0 200 OK\r\n"+date+"Content-Type: text/html\r\ncontent-length: "+
		fmt.Sprint(len(body)-4+len("127.0.0.1:00000"))+
		"\r\nSet-Cookie: session_id="+id+"; Expires=Tue, 23 Nov 2027 03:34:12 GMT; Path=/\r\n"+
		"Location: http://HOST/y\r\nLast-Modified: Mon, 23 Nov 2026 03:33:13 GMT\r\nX-Date: Mon, 23 Nov 2026 03:34:12 GMT\r\n\r\n"+body)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.0 200 OK\r\nDate: {{date}}\r\nContent-Type: text/html\r\n"+
		"Set-Cookie: session_id={{session_id}}; Expires={{date+31536000}}; Path=/\r\n"+
		"Location: {{base}}/y\r\nLast-Modified: {{start-60}}\r\nX-Date: {{date}}\r\n\r\n"+
		`<a href="{{base}}/x"> csrf_token: '`+markerToken+`', value="`+markerToken+`"`, got)

	// Chunks are joined; a body that is no text stays as it is.
	got, err = message(t, "HTTP/1.1 200 OK\r\n"+date+"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"+
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(token), token))
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 200 OK\r\nDate: {{date}}\r\nContent-Type: image/png\r\n\r\n"+token, got)

	for name, msg := range map[string]string{
		"no head":        "HTTP/1.1 200 OK\r\n",
		"no answer":      "hello\r\n\r\n",
		"no date":        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
		"short body":     "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 10\r\n\r\nhello",
		"a marker in it": "HTTP/1.1 200 OK\r\n" + date + "Content-Type: text/html\r\n\r\n{{base}}",
		"host in it":     "HTTP/1.1 200 OK\r\n" + date + "Content-Type: text/html\r\n\r\nwss://HOST/",
	} {
		_, err := message(t, msg)
		assert.Error(t, err, name)
	}
}

func TestBadArguments(t *testing.T) {
	list := func(s string) string {
		name := filepath.Join(t.TempDir(), "list.json")
		require.NoError(t, os.WriteFile(name, []byte(s), 0o600))
		return name
	}
	for name, args := range map[string][]string{
		"flag":      {"-no-such-flag"},
		"argument":  {"more"},
		"scheme":    {"-base", "ftp://a"},
		"path":      {"-base", "http://a/b"},
		"no list":   {"-list", "no-such-file"},
		"bad list":  {"-list", list("[")},
		"name":      {"-list", list(`{"pages": [{"name": "../a", "path": "/"}]}`)},
		"bare path": {"-list", list(`{"pages": [{"name": "a", "path": "a"}]}`)},
		"twice":     {"-list", list(`{"pages": [{"name": "a", "path": "/"}, {"name": "a", "path": "/"}]}`)},
		"no Odoo":   {"-base", "http://" + serve(t, "HTTP/1.1 200 OK\r\n\r\n{}")},
	} {
		assert.Error(t, run(append(args, "-out", t.TempDir()), io.Discard), name)
	}
}

func TestMedian(t *testing.T) {
	assert.EqualValues(t, 3, median([]time.Duration{9, 3, 1}))
	assert.EqualValues(t, 4, median([]time.Duration{9, 3, 5, 1}))
	assert.Equal(t, 12.3, millis(12345*time.Microsecond))
}
