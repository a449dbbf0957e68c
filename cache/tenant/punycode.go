package tenant

import (
	"strings"
	"unicode/utf8"
)

// The letters of DNS are those of ASCII: other ones are written as RFC 3492 says (Punycode), in
// labels that begin with xn-- (RFC 5890 §2.3.2.1). Browsers send names so; people write them as
// they are read.

// dots are what people write in place of a dot (RFC 3490 §3.1).
var dots = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// inDNS returns a name in the letters of DNS, "" where that cannot be.
func inDNS(name string) string {
	if !utf8.ValidString(name) {
		return ""
	}
	labels := strings.Split(dots.Replace(name), ".")
	for i := 0; i < len(labels); i++ {
		if isASCII(labels[i]) {
			continue
		}
		label := punycode([]rune(labels[i]))
		if label == "" || len(label) > 59 {
			return ""
		}
		labels[i] = "xn--" + label
	}
	return strings.Join(labels, ".")
}

// The parameters of Punycode (RFC 3492 §5).
const (
	base        int = 36
	tMin        int = 1
	tMax        int = 26
	skew        int = 38
	damp        int = 700
	initialBias int = 72
	initialN    int = 128
)

// mostRunes bounds a label: one in ASCII has 63 bytes at most.
const mostRunes = 63

// punycode encodes a label (RFC 3492 §6.3), "" if it is too long.
func punycode(label []rune) string {
	if len(label) > mostRunes {
		return ""
	}
	out := &strings.Builder{}
	for i := 0; i < len(label); i++ {
		if label[i] < utf8.RuneSelf {
			out.WriteRune(label[i])
		}
	}
	basic := out.Len()
	if basic > 0 {
		out.WriteByte('-')
	}
	n := initialN
	delta := 0
	bias := initialBias
	handled := basic
	for handled < len(label) {
		next := least(label, n)
		delta += (next - n) * (handled + 1)
		n = next
		for i := 0; i < len(label); i++ {
			c := int(label[i])
			if c < n {
				delta++
			}
			if c == n {
				writeNumber(out, delta, bias)
				bias = adapt(delta, handled+1, handled == basic)
				delta = 0
				handled++
			}
		}
		delta++
		n++
	}
	return out.String()
}

// least returns the smallest code point of a label that is not below n. There is one.
func least(label []rune, n int) int {
	found := int(utf8.MaxRune)
	for i := 0; i < len(label); i++ {
		if c := int(label[i]); c >= n && c < found {
			found = c
		}
	}
	return found
}

// writeNumber writes a number of variable length (RFC 3492 §3.3).
func writeNumber(out *strings.Builder, q, bias int) {
	k := 0
	for {
		k += base
		t := k - bias
		if t < tMin {
			t = tMin
		}
		if t > tMax {
			t = tMax
		}
		if q < t {
			out.WriteByte(digit(q))
			return
		}
		out.WriteByte(digit(t + (q-t)%(base-t)))
		q = (q - t) / (base - t)
	}
}

func digit(d int) byte {
	return "abcdefghijklmnopqrstuvwxyz0123456789"[d]
}

// adapt returns the next bias (RFC 3492 §6.1).
func adapt(delta, points int, first bool) int {
	if first {
		delta /= damp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for delta > (base-tMin)*tMax/2 {
		delta /= base - tMin
		k += base
	}
	return k + (base-tMin+1)*delta/(delta+skew)
}
