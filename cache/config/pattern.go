package config

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
)

// probes are paths that have nothing in common but the slash. A regular expression that
// matches all of them matches every path: ^/, .+, (/my)?.
var probes = []string{"/", "/a", "/zz9/xx.y", "/odoo/web/login", "/\u00e9 \u4e2d-_~/7", "/\x01/\x01/\x01"}

func matchesAll(re *regexp.Regexp) bool {
	for i := 0; i < len(probes); i++ {
		if !re.MatchString(probes[i]) {
			return false
		}
	}
	return true
}

// pathPattern compiles a regular expression of decoded paths, and refuses those that
// match all or none by mistake.
func (p *problems) pathPattern(path, s string) *regexp.Regexp {
	mistakes := len(p.list)
	re := p.pattern(path, s)
	switch {
	case re == nil || len(p.list) > mistakes || p.trusted:
	case matchesAll(re):
		p.add(path, "%q matches every path; expected one that does not, or pathPrefixes with / alone if the rule is for all", s)
	case s == "1" || s == "0" || s == "true" || s == "false":
		p.add(path, "%q is what becomes of a boolean; expected a regular expression of a path", s)
	case s != strings.TrimSpace(s):
		p.add(path, "%q begins or ends with a blank; expected a regular expression without, or [ ] for a blank that is meant", s)
	case strings.Contains(s, `\?`) || queryInPath.MatchString(s):
		p.add(path, "%q would match nothing, since a path has no query; expected match.query", s)
	case escapeInPath.MatchString(s):
		p.add(path, "%q would match nothing, since paths are matched decoded; expected the character that the escape stands for", s)
	case !canMatch(s, true):
		p.add(path, "%q would match nothing, since paths begin with / and end where $ is; expected one such as ^/my_module(/|$)", s)
	}
	return re
}

var (
	queryInPath  = regexp.MustCompile(`\?[A-Za-z_][A-Za-z0-9_]*=`)
	escapeInPath = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
)

// pattern compiles a regular expression, and refuses one that matches no text.
func (p *problems) pattern(path, s string) *regexp.Regexp {
	re, err := expression(s)
	switch {
	case err != nil:
		p.add(path, "%v; expected a regular expression (RE2)", err)
		return nil
	case p.trusted:
	case strings.IndexFunc(s, unicode.IsControl) >= 0:
		p.add(path, "%q has a line break or another control character, as a block of YAML (|) ends in one; expected one line", s)
	case !canMatch(s, false):
		p.add(path, "%q would match nothing; expected ^ at its beginning and $ at its end alone", s)
	}
	return re
}

// maxWalked bounds what is walked of an expression: New has to be quick.
const maxWalked = 5000

// place is a point in a compiled expression that some text leads to.
type place struct {
	pc    uint32
	first bool // nothing of the text is read yet
	last  bool // nothing of it may follow
}

// canMatch reports whether there is a text, or a path if that is asked for, that an
// expression matches. It walks what the expression is compiled to. Word boundaries, and
// the lines of what is no path, are taken for what can be had.
func canMatch(s string, path bool) bool {
	parsed, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return true
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(prog.Inst) > maxWalked {
		return true
	}
	begins, ends := syntax.EmptyBeginText, syntax.EmptyEndText
	if path { // it is one line
		begins, ends = begins|syntax.EmptyBeginLine, ends|syntax.EmptyEndLine
	}
	start := uint32(prog.Start)
	open := []place{{pc: start, first: true}, {pc: start}}
	seen := map[place]bool{}
	for len(open) > 0 {
		at := open[len(open)-1]
		open = open[:len(open)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		i := &prog.Inst[at.pc]
		next := place{pc: i.Out, first: at.first, last: at.last}
		switch i.Op {
		case syntax.InstMatch:
			if !path || !at.first || !at.last { // no path is empty
				return true
			}
		case syntax.InstFail:
		case syntax.InstAlt, syntax.InstAltMatch:
			open = append(open, next, place{pc: i.Arg, first: at.first, last: at.last})
		case syntax.InstCapture, syntax.InstNop:
			open = append(open, next)
		case syntax.InstEmptyWidth:
			width := syntax.EmptyOp(i.Arg)
			if width&begins != 0 && !at.first {
				continue
			}
			next.last = at.last || width&ends != 0
			open = append(open, next)
		default: // a character
			if !at.last && (!path || inPath(i, at.first)) {
				next.first = false
				open = append(open, next)
			}
		}
	}
	return false
}

// inPath reports whether an instruction takes a character of a path, which begins with a
// slash, is one line, and has no query and no fragment.
func inPath(i *syntax.Inst, first bool) bool {
	if first {
		return i.MatchRune('/')
	}
	if len(i.Rune) == 0 || len(i.Rune) > 2 || (len(i.Rune) == 2 && i.Rune[1]-i.Rune[0] > 200) {
		return true
	}
	for c := i.Rune[0]; c <= i.Rune[len(i.Rune)-1]; c++ {
		if !unicode.IsControl(c) && c != '?' && c != '#' {
			return true
		}
	}
	return false
}
