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

var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
	sum := crc32.Checksum(rest.Bytes(), Castagnoli)
	first := fmt.Sprintf("%s %08x %d %d %d\n", magic, sum, len(meta), head, len(e.Body))
	return append([]byte(first), rest.Bytes()...), nil
}

func encodeMeta(e *Entry) (string, error) {
	l := e.Life
	fields := []string{
		e.Tenant, e.Key, e.Host, e.Path,
		strconv.FormatInt(e.Epoch, 10), strconv.FormatInt(e.Seq, 10), strings.Join(e.Tags, " "),
		strconv.FormatInt(l.Born, 10), strconv.FormatInt(l.TTL, 10), strconv.FormatInt(l.Grace, 10), strconv.FormatInt(l.StaleIfError, 10), strconv.FormatInt(l.Keep, 10),
		flag(l.NoCache), flag(l.NeverStale), flag(l.Shared), flag(l.Public),
		strconv.Itoa(e.Status), strings.Join(e.Vary, " "), strings.Join(e.Variants, " "),
		strconv.FormatInt(e.Render, 10), strconv.FormatInt(e.Plain, 10), e.Tag,
	}
	meta := strings.Join(fields, "\n")
	if strings.Count(meta, "\n") != metaFields+2 {
		return "", fmt.Errorf("%w: a value has a line break", ErrCorrupt)
	}
	return meta, nil
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
	if words[0] == sealedMagic {
		return nil, fmt.Errorf("%w: %w: it is encrypted, and there are no encryption.keys", ErrCorrupt, ErrKey)
	}
	if len(words) != 5 || words[0] != magic {
		return nil, fmt.Errorf("%w: first line %q", ErrCorrupt, b[:i])
	}
	rest := b[i+1:]
	sizes, err := parseSizes(words[2:], len(rest))
	if err != nil {
		return nil, err
	}
	if fmt.Sprintf("%08x", crc32.Checksum(rest, Castagnoli)) != words[1] {
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
	for i, word := range words {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 || n > total {
			return sizes, fmt.Errorf("%w: length %q", ErrCorrupt, word)
		}
		sizes[i] = n
		sum += n
	}
	if sum != total {
		return sizes, fmt.Errorf("%w: %d bytes, its first line says %d", ErrCorrupt, total, sum)
	}
	return sizes, nil
}

// numeric are the lines of meta that are numbers, all but one of them in every entry.
var numeric = []int{4, 5, 7, 8, 9, 10, 11, 16, metaFields, metaFields + 1}

func decodeMeta(meta string) (*Entry, error) {
	f := strings.Split(meta, "\n")
	if len(f) <= metaFields+2 {
		if len(f) < metaFields {
			return nil, fmt.Errorf("%w: %d lines of meta", ErrCorrupt, len(f))
		}
		f = append(f[:metaFields:metaFields], "0", "0", "") // of before these were added
	}
	var n [metaFields + 2]int64
	for _, at := range numeric {
		if f[at] != "0" {
			x, err := strconv.ParseInt(f[at], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%w: line %d of meta is no number: %q", ErrCorrupt, at, f[at])
			}
			n[at] = x
		}
	}
	status := n[16]
	if status != 0 && (status < 200 || status > 999) {
		return nil, fmt.Errorf("%w: status %d", ErrCorrupt, status)
	}
	e := &Entry{
		Tenant: f[0], Key: f[1], Host: f[2], Path: f[3], Epoch: n[4], Seq: n[5],
		Life: policy.Life{
			Born: n[7], TTL: n[8], Grace: n[9], StaleIfError: n[10], Keep: n[11],
			NoCache: f[12] == "1", NeverStale: f[13] == "1", Shared: f[14] == "1", Public: f[15] == "1",
		},
		Status: int(status), Render: n[metaFields], Plain: n[metaFields+1], Tag: f[metaFields+2],
	}
	if f[6] != "" {
		e.Tags = strings.Split(f[6], " ")
	}
	if f[17] != "" || f[18] != "" {
		e.Vary, e.Variants = words(f[17]), words(f[18])
	}
	return e, nil
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
	block := bufio.NewReaderSize(strings.NewReader(string(b)+"\r\n"), len(b)+2)
	h, err := textproto.NewReader(block).ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrCorrupt, err)
	}
	out := http.Header(h)
	for name, lines := range out { // appending to a line of one response must not reach the next
		if cap(lines) > len(lines) {
			out[name] = lines[:len(lines):len(lines)]
		}
	}
	return out, nil
}
