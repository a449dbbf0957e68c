package config

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
)

// problems collects mistakes, each with the path of its option.
type problems struct {
	list []string
}

func (p *problems) add(path, format string, args ...interface{}) {
	p.list = append(p.list, path+": "+fmt.Sprintf(format, args...))
}

// unknown reports options that the decoder could not place.
func (p *problems) unknown(path string, options map[string]interface{}) {
	for name := range options {
		p.add(path+name, "unknown option")
	}
}

// duration reads an optional duration in ms.
func (p *problems) duration(path, s string, unset int64) int64 {
	if s == "" {
		return unset
	}
	ms, err := policy.ParseDuration(s)
	if err != nil {
		p.add(path, "%q; expected a duration such as 10m, or whole seconds, not negative", s)
	}
	return ms
}

// positive reads a duration that must be longer than zero.
func (p *problems) positive(path, s string) int64 {
	ms := p.duration(path, s, 0)
	if ms <= 0 && len(s) > 0 {
		if _, err := policy.ParseDuration(s); err == nil {
			p.add(path, "%q; expected a duration longer than 0", s)
		}
	} else if s == "" {
		p.add(path, "is empty; expected a duration such as 10m")
	}
	return ms
}

// number reads an integer between least and most.
func (p *problems) number(path, s string, least, most int) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < least || n > most {
		p.add(path, "%q; expected a number from %d to %d", s, least, most)
	}
	return n
}

// units of sizes, the longer names first.
var units = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1000}, {"KB", 1000}, {"MB", 1000 * 1000}, {"GB", 1000 * 1000 * 1000},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"B", 1},
}

// size reads a number of bytes: 65536, 64KiB, 2MB.
func (p *problems) size(path, s string, least int64) int64 {
	text := strings.TrimSpace(s)
	factor := int64(1)
	for i := 0; i < len(units); i++ {
		if strings.HasSuffix(text, units[i].suffix) {
			text = strings.TrimSpace(strings.TrimSuffix(text, units[i].suffix))
			factor = units[i].factor
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > (int64(1)<<40)/factor || n*factor < least {
		p.add(path, "%q; expected a size such as 64MiB, at least %d bytes", s, least)
		return least
	}
	return n * factor
}

// boolean reads true or false; 1 and 0 are what a weak decoder makes of them.
func (p *problems) boolean(path, s string, unset bool) bool {
	if s == "" {
		return unset
	}
	b, err := strconv.ParseBool(strings.TrimSpace(s))
	if err != nil {
		p.add(path, "%q; expected true or false", s)
	}
	return b
}

// oneOf reads a word out of a list.
func (p *problems) oneOf(path, s string, words ...string) string {
	for i := 0; i < len(words); i++ {
		if s == words[i] {
			return s
		}
	}
	p.add(path, "%q; expected one of %s", s, strings.Join(words, ", "))
	return s
}

// pattern compiles a regular expression.
func (p *problems) pattern(path, s string) *regexp.Regexp {
	re, err := regexp.Compile(s)
	if err != nil {
		p.add(path, "%v; expected a regular expression (RE2)", err)
		return nil
	}
	return re
}

// secret reads a secret from a value, a file or an environment variable.
func (p *problems) secret(path, name, value, file, env string) string {
	given := 0
	for _, s := range []string{value, file, env} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		p.add(path+name, "more than one of %s, %sFile and %sEnv is set; expected one", name, name, name)
		return ""
	}
	switch {
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			p.add(path+name+"File", "%v; expected a readable file", err)
			return ""
		}
		value = strings.TrimRight(string(b), "\r\n")
		if value == "" {
			p.add(path+name+"File", "%q is empty; expected a secret", file)
		}
	case env != "":
		value = os.Getenv(env)
		if value == "" {
			p.add(path+name+"Env", "the environment variable %q is empty or not set", env)
		}
	}
	return value
}

// names trims a list and refuses empty and duplicate members.
func (p *problems) names(path string, list []string) []string {
	var out []string
	seen := map[string]bool{}
	for i := 0; i < len(list); i++ {
		name := strings.TrimSpace(list[i])
		if name == "" {
			continue
		}
		if seen[name] {
			p.add(fmt.Sprintf("%s[%d]", path, i), "%q is listed twice", name)
			continue
		}
		seen[name] = true
		out = append(out, name)
	}
	return out
}
