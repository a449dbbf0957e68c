package storage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
)

// The stored form of an entry, version 1:
//
//	oc1 <crc32c> <meta bytes> <header bytes> <body bytes>\n
//	meta    one value a line, in the order of encodeMeta
//	header  HTTP header lines, as on the wire
//	body    as received
//
// The checksum covers everything after the first line. A field is only ever
// added at the end of meta; anything else needs a new version. Bytes that are
// no entry decode to ErrCorrupt and nothing else.

const magic = "oc1"

// maxFirstLine bounds the first line of a stored entry.
const maxFirstLine = 80

// metaFields is the number of lines of meta that every entry has; those
// that came later follow them.
const metaFields = 19

// ErrCorrupt says that stored bytes are no entry: truncated, changed, or
// written by something else.
var ErrCorrupt = errors.New("storage: not an entry")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode returns the stored form of an entry.
func Encode(e *Entry) ([]byte, error) {
	meta, err := encodeMeta(e)
	if err != nil {
		return nil, err
	}
	var rest bytes.Buffer
	rest.Grow(len(meta) + len(e.Body) + 2048)
	rest.WriteString(meta)
	if err := e.Header.Write(&rest); err != nil {
		return nil, fmt.Errorf("storage: header: %w", err)
	}
	head := rest.Len() - len(meta)
	rest.Write(e.Body)
	sum := crc32.Checksum(rest.Bytes(), castagnoli)
	first := fmt.Sprintf("%s %08x %d %d %d\n", magic, sum, len(meta), head, len(e.Body))
	return append([]byte(first), rest.Bytes()...), nil
}

func encodeMeta(e *Entry) (string, error) {
	l := e.Life
	fields := []string{
		e.Tenant, e.Key, e.Host, e.Path,
		number(e.Epoch), number(e.Seq), strings.Join(e.Tags, " "),
		number(l.Born), number(l.TTL), number(l.Grace), number(l.StaleIfError), number(l.Keep),
		flag(l.NoCache), flag(l.NeverStale), flag(l.Shared), flag(l.Public),
		strconv.Itoa(e.Status), strings.Join(e.Vary, " "), strings.Join(e.Variants, " "), number(e.Render), number(e.Plain), e.Tag,
	}
	meta := strings.Join(fields, "\n")
	if strings.Count(meta, "\n") != metaFields+2 {
		return "", fmt.Errorf("%w: a value has a line break", ErrCorrupt)
	}
	return meta, nil
}

func number(n int64) string {
	return strconv.FormatInt(n, 10)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// Decode reads the stored form of an entry. The body is part of b, not a copy.
func Decode(b []byte) (*Entry, error) {
	end := len(b)
	if end > maxFirstLine {
		end = maxFirstLine
	}
	i := bytes.IndexByte(b[:end], '\n')
	if i < 0 {
		return nil, fmt.Errorf("%w: no first line", ErrCorrupt)
	}
	words := strings.Split(string(b[:i]), " ")
	if len(words) != 5 || words[0] != magic {
		return nil, fmt.Errorf("%w: first line %q", ErrCorrupt, b[:i])
	}
	rest := b[i+1:]
	sizes, err := parseSizes(words[2:], len(rest))
	if err != nil {
		return nil, err
	}
	if fmt.Sprintf("%08x", crc32.Checksum(rest, castagnoli)) != words[1] {
		return nil, fmt.Errorf("%w: checksum differs", ErrCorrupt)
	}
	e, err := decodeMeta(string(rest[:sizes[0]]))
	if err != nil {
		return nil, err
	}
	e.Body = rest[sizes[0]+sizes[1]:]
	e.Header, err = decodeHeader(rest[sizes[0] : sizes[0]+sizes[1]])
	if err != nil {
		return nil, err
	}
	return e, nil
}

// parseSizes reads the lengths of the three sections, which must add up to
// what is there.
func parseSizes(words []string, total int) ([3]int, error) {
	var sizes [3]int
	sum := 0
	for i := 0; i < 3; i++ {
		n, err := strconv.Atoi(words[i])
		if err != nil || n < 0 || n > total {
			return sizes, fmt.Errorf("%w: length %q", ErrCorrupt, words[i])
		}
		sizes[i] = n
		sum += n
	}
	if sum != total {
		return sizes, fmt.Errorf("%w: %d bytes, its first line says %d", ErrCorrupt, total, sum)
	}
	return sizes, nil
}

func decodeMeta(meta string) (*Entry, error) {
	f := strings.Split(meta, "\n")
	if len(f) < metaFields {
		return nil, fmt.Errorf("%w: %d lines of meta", ErrCorrupt, len(f))
	}
	p := numberParser{fields: f}
	e := &Entry{
		Tenant: f[0], Key: f[1], Host: f[2], Path: f[3],
		Epoch: p.at(4), Seq: p.at(5), Tags: words(f[6]),
		Life: policy.Life{
			Born: p.at(7), TTL: p.at(8), Grace: p.at(9), StaleIfError: p.at(10), Keep: p.at(11),
			NoCache: f[12] == "1", NeverStale: f[13] == "1", Shared: f[14] == "1", Public: f[15] == "1",
		},
		Status: int(p.at(16)), Vary: words(f[17]), Variants: words(f[18]),
	}
	if len(f) > metaFields+2 {
		e.Render = p.at(metaFields)
		e.Plain = p.at(metaFields + 1)
		e.Tag = f[metaFields+2]
	}
	if p.failed {
		return nil, fmt.Errorf("%w: line %d of meta is no number: %q", ErrCorrupt, p.bad, f[p.bad])
	}
	if e.Status != 0 && (e.Status < 200 || e.Status > 999) {
		return nil, fmt.Errorf("%w: status %d", ErrCorrupt, e.Status)
	}
	return e, nil
}

// numberParser parses several numbers and remembers the first that is none.
type numberParser struct {
	fields []string
	failed bool
	bad    int
}

func (p *numberParser) at(i int) int64 {
	n, err := strconv.ParseInt(p.fields[i], 10, 64)
	if err != nil && !p.failed {
		p.failed = true
		p.bad = i
	}
	return n
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, " ")
}

func decodeHeader(b []byte) (http.Header, error) {
	if len(b) == 0 {
		return http.Header{}, nil
	}
	block := make([]byte, 0, len(b)+2)
	block = append(append(block, b...), '\r', '\n')
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(block))).ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrCorrupt, err)
	}
	out := http.Header(h)
	for name, lines := range out { // appending to a line of one response must not reach the next
		out[name] = lines[:len(lines):len(lines)]
	}
	return out, nil
}
