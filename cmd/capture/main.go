// Command capture fetches pages of a running Odoo as an anonymous first-time
// visitor and writes its answers as files that package test/origin replays.
//
//	go run ./cmd/capture -base http://127.0.0.1:8069 -out testdata/odoo
//
// Every fetch opens a connection of its own and sends no cookie. The first one
// is the page's cold time; the median of the following ones is its warm time;
// the last answer is what is written. Start Odoo anew before a capture if the
// cold times are to mean something.
//
// A file is the answer as it came over the wire but for what belongs to the
// capture: tokens, session ids, times in the head, scheme and host are replaced
// by markers, and Content-Length is left out, since a replay fills the markers.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"time"
)

//go:embed pages.json
var defaultList []byte

// A target is one page to fetch.
type target struct {
	Name        string `json:"name"`
	Method      string `json:"method"`
	Path        string `json:"path"`
	Kind        string `json:"kind"`
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
	Times       int    `json:"times"`
}

// An entry is one page in index.json.
type entry struct {
	Name     string  `json:"name"`
	Method   string  `json:"method"`
	Path     string  `json:"path"`
	Kind     string  `json:"kind"`
	Status   int     `json:"status"`
	Bytes    int     `json:"bytes"`
	ColdMS   float64 `json:"cold_ms"`
	MedianMS float64 `json:"median_ms"`
}

type index struct {
	Odoo  string  `json:"odoo"`
	Pages []entry `json:"pages"`
}

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run(args []string, log io.Writer) error {
	flags := flag.NewFlagSet("capture", flag.ContinueOnError)
	flags.SetOutput(log)
	base := flags.String("base", "http://127.0.0.1:8069", "scheme and host of Odoo")
	list := flags.String("list", "", "JSON file with the pages to fetch (default: the list built in)")
	out := flags.String("out", "testdata/odoo", "folder to write to")
	times := flags.Int("times", 11, "warm fetches per page")
	timeout := flags.Duration("timeout", 30*time.Second, "time limit of one fetch")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	targets, err := readList(*list)
	if err != nil {
		return err
	}
	c, err := newClient(*base, *timeout)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	idx := index{}
	if idx.Odoo, err = c.version(); err != nil {
		return fmt.Errorf("asking for the version: %w", err)
	}
	total := 0
	for _, t := range targets {
		n := *times
		if t.Times > 0 {
			n = t.Times
		}
		e, msg, err := capture(c, t, n)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if err := os.WriteFile(filepath.Join(*out, t.Name+".http"), msg, 0o644); err != nil {
			return err
		}
		idx.Pages = append(idx.Pages, e)
		total += len(msg)
		fmt.Fprintf(log, "%-20s %d %7d bytes  cold %6.1f ms  warm %6.1f ms\n", e.Name, e.Status, e.Bytes, e.ColdMS, e.MedianMS)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(idx); err != nil {
		return err
	}
	fmt.Fprintf(log, "%d pages, %d bytes, Odoo %s\n", len(idx.Pages), total+buf.Len(), idx.Odoo)
	return os.WriteFile(filepath.Join(*out, "index.json"), buf.Bytes(), 0o644)
}

func readList(name string) ([]target, error) {
	data := defaultList
	if name != "" {
		var err error
		if data, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	var l struct {
		Pages []target `json:"pages"`
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("reading the list: %w", err)
	}
	seen := map[string]bool{}
	for i := range l.Pages {
		t := &l.Pages[i]
		if t.Method == "" {
			t.Method = "GET"
		}
		switch {
		case t.Name == "" || filepath.Base(t.Name) != t.Name:
			return nil, fmt.Errorf("page %d: bad name %q", i, t.Name)
		case seen[t.Name]:
			return nil, fmt.Errorf("page %q is listed twice", t.Name)
		case len(t.Path) == 0 || t.Path[0] != '/':
			return nil, fmt.Errorf("page %q: path %q does not begin with /", t.Name, t.Path)
		}
		seen[t.Name] = true
	}
	return l.Pages, nil
}

// capture fetches t once cold and n times warm.
func capture(c *client, t target, n int) (entry, []byte, error) {
	var cold time.Duration
	var last *answer
	warm := make([]time.Duration, 0, n)
	for i := 0; i <= n; i++ {
		a, err := c.fetch(t.Method, t.Path, t.ContentType, t.Body)
		if err != nil {
			return entry{}, nil, err
		}
		if last != nil && a.status != last.status {
			return entry{}, nil, fmt.Errorf("status %d, then %d", last.status, a.status)
		}
		if i == 0 {
			cold = a.took
		} else {
			warm = append(warm, a.took)
		}
		last = a
	}
	if len(warm) == 0 {
		warm = append(warm, cold)
	}
	msg, err := last.message(c.base)
	if err != nil {
		return entry{}, nil, err
	}
	return entry{
		Name: t.Name, Method: t.Method, Path: t.Path, Kind: t.Kind,
		Status: last.status, Bytes: len(last.body),
		ColdMS: millis(cold), MedianMS: millis(median(warm)),
	}, msg, nil
}

func median(d []time.Duration) time.Duration {
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	if len(d)%2 == 1 {
		return d[len(d)/2]
	}
	return (d[len(d)/2-1] + d[len(d)/2]) / 2
}

func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}
