package resp

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSlots(t *testing.T) {
	assert.Equal(t, uint16(0x31C3), crc16("123456789"), "the check value of CRC-16/XMODEM")
	c := NewCluster(Options{}, nil)
	for key, same := range map[string]string{
		"oc:{shop}:marks": "oc:{shop}:e:x", "foo{bar}baz": "bar", "{bar}{zap}": "bar",
		"foo{}{bar}": "foo{}{bar}", "foo{{bar}}zap": "{bar",
	} {
		assert.Equal(t, c.slotOf(same), c.slotOf(key), key)
		assert.Equal(t, int(crc16(same))%slotCount == c.slotOf(key), same != "oc:{shop}:e:x", key)
	}
	assert.Equal(t, 12182, c.slotOf("foo"))
}

func TestRedirections(t *testing.T) {
	for text, want := range map[string][2]string{
		"MOVED 3999 127.0.0.1:6381": {"MOVED", "127.0.0.1:6381"},
		"ASK 3999 host:1":           {"ASK", "host:1"},
		"MOVED 3999 :6381":          {"MOVED", "here:6381"},
		"MOVED 3999 [::1]:6381":     {"MOVED", "[::1]:6381"},
		"MOVED 3808 ::1:6617":       {"MOVED", "[::1]:6617"}, // as Redis writes it
		"ASK 1 2001:db8::a:6617":    {"ASK", "[2001:db8::a]:6617"},
		"MOVED 3999 ?:6381":         {"MOVED", "here:6381"},
		"MOVED 3999 a.example:1":    {"MOVED", "a.example:1"},
		"MOVED 3999 host:0":         {"MOVED"},
		"MOVED 3999 host:65536":     {"MOVED"},
		"MOVED 3999 host:":          {"MOVED"},
		"MOVED 3999":                {"MOVED"},
		"MOVED 3999 nonsense":       {"MOVED"},
		"ERR MOVED":                 {"ERR"},
		"CLUSTERDOWN of late":       {"CLUSTERDOWN"},
	} {
		word, address := redirection(Reply{Kind: Error, Text: text}, "here:1")
		assert.Equal(t, want, [2]string{word, address}, text)
	}
	_, address := redirection(Reply{Kind: Bulk, Body: []byte("MOVED 1 a:1")}, "here:1")
	assert.Empty(t, address)
}

func TestKeyOf(t *testing.T) {
	assert.Equal(t, "k", keyOf(args("GET", "k")))
	assert.Equal(t, "k", keyOf(args("EVAL", "return 1", "1", "k", "x")))
	assert.Empty(t, keyOf(args("PING")))
}
