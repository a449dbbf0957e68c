package config

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/resp"
)

// problems collects mistakes, each with the path of its option.
type problems struct {
	list    []string
	trusted bool // the preset's rules are read, which tests have checked
}

func (p *problems) add(path, format string, args ...interface{}) {
	for i := 0; i < len(args); i++ {
		if text, is := args[i].(string); is && len(text) > maxQuoted {
			args[i] = text[:maxQuoted] + "..."
		}
	}
	p.list = append(p.list, path+": "+fmt.Sprintf(format, args...))
}

// maxQuoted is how much of a value a mistake shows, in bytes.
const maxQuoted = 300

// unknown reports options that the decoder could not place.
func (p *problems) unknown(path string, options map[string]interface{}) {
	names := make([]string, 0, len(options))
	for name := range options {
		names = append(names, name)
	}
	sort.Strings(names)
	for i := 0; i < len(names); i++ {
		p.add(path+names[i], "unknown option")
	}
}

// duration reads an optional duration in ms.
func (p *problems) duration(path, s string, unset int64) int64 {
	if s == "" {
		return unset
	}
	ms, err := policy.ParseDuration(s)
	if err != nil {
		p.add(path, "%q; expected a duration such as 10m, or whole seconds, from 0 to 68 years", s)
	}
	return ms
}

// needed reads a duration in ms that may be 0, but not empty: empty is what becomes of a
// variable that is not set.
func (p *problems) needed(path, s string) int64 {
	if s == "" {
		p.add(path, "is empty; expected a duration such as 10m, 0 for none, or no such option")
		return 0
	}
	return p.duration(path, s, 0)
}

// between reads a duration in ms from 1 to limit.
func (p *problems) between(path, s string, limit int64) int64 {
	ms, err := policy.ParseDuration(s)
	if err != nil || ms < 1 || ms > limit {
		p.add(path, "%q; expected a duration from 1ms to %s", s, time.Duration(limit)*time.Millisecond)
	}
	return ms
}

// number reads an integer between least and limit.
func (p *problems) number(path, s string, least, limit int) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < least || n > limit {
		p.add(path, "%q; expected a number from %d to %d", s, least, limit)
		return least
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

// size reads a number of bytes from least to limit: 65536, 64KiB, 2MB.
func (p *problems) size(path, s string, least, limit int64) int64 {
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
	if err != nil || n < 0 || n > limit/factor || n*factor < least {
		p.add(path, "%q; expected a size such as 4MiB, from %s to %s", s, inUnits(least), inUnits(limit))
		return limit
	}
	return n * factor
}

// inUnits writes a number of bytes in the largest unit that divides it.
func inUnits(n int64) string {
	names := []string{"GiB", "MiB", "KiB"}
	for i := 0; i < len(names); i++ {
		if unit := int64(1) << uint(30-10*i); n >= unit && n%unit == 0 {
			return strconv.FormatInt(n/unit, 10) + names[i]
		}
	}
	return strconv.FormatInt(n, 10)
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

// secret reads a secret from a value, a file or an environment variable. given is
// the path of the option that it came from. No error has anything of it. bad says what is
// wrong with one.
func (p *problems) secret(path, name string, value, file, env *string, bad func(s string) string) (secret, given string) {
	options := []string{path + name, path + name + "File", path + name + "Env"}
	values := []*string{value, file, env}
	n, which := 0, 0
	for i := 0; i < len(values); i++ {
		if values[i] == nil {
			continue
		}
		if *values[i] == "" {
			p.add(options[i], "is given, but empty; expected %s, or no such option", expectedOf[i])
			continue
		}
		n, which = n+1, i
	}
	if n > 1 {
		p.add(path+name, "more than one of %s, %sFile and %sEnv is set; expected one", name, name, name)
		return "", path + name
	}
	given = options[which]
	if n == 0 {
		return "", given
	}
	problem := ""
	switch which {
	case 0:
		secret = *value
	case 1:
		secret, problem = readSecret(*file)
	default:
		secret = os.Getenv(*env)
		if secret == "" {
			problem = fmt.Sprintf("the environment variable %q is empty or not set", *env)
		}
	}
	if problem == "" {
		problem = bad(secret)
	}
	if problem != "" {
		p.add(given, "%s", problem)
		return "", given
	}
	return secret, given
}

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 64 << 10

// readSecret reads a file with a secret.
func readSecret(file string) (secret, problem string) {
	content, whole, err := readAtMost(file, maxSecret)
	if err != nil {
		return "", fmt.Sprintf("%v; expected a readable file", err)
	}
	if !whole {
		return "", fmt.Sprintf("%q has more than %d bytes; expected a secret", file, maxSecret)
	}
	secret = withoutLineEnd(content)
	if secret == "" {
		return "", fmt.Sprintf("%q is empty; expected a secret", file)
	}
	return secret, ""
}

// readAtMost reads a file of at most limit bytes, and reports whether that was all of it.
func readAtMost(file string, limit int) (content string, whole bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return "", false, err
	}
	return string(b), len(b) <= limit, nil
}

// password reads a password of Redis, which may have any character that one line can hold. It
// is the client's business to read a file again: then it is a Secret.
func (p *problems) password(path string, value, file, env *string) (string, *resp.Secret) {
	password, given := p.secret(path, "password", value, file, env, badPassword)
	password = withoutLineEnds(password)
	if password == "" || given != path+"passwordFile" {
		return password, nil
	}
	name := *file
	return password, resp.NewSecret(password, func() (string, error) {
		secret, problem := readSecret(name)
		if problem == "" {
			problem = badPassword(secret)
		}
		if problem != "" {
			return "", errors.New(path + "passwordFile: " + problem)
		}
		return withoutLineEnds(secret), nil
	})
}

// withoutLineEnd drops one line break, with which editors and echo end a file.
func withoutLineEnd(s string) string {
	line := strings.TrimSuffix(s, "\n")
	if line == s {
		return s
	}
	return strings.TrimSuffix(line, "\r")
}

// expectedOf says what the three options of a secret have to hold.
var expectedOf = []string{"a secret", "the path of a file", "the name of an environment variable"}

// notExpanded is what a shell, a template or a composer would have put something else for:
// ${NAME}, $(command), {{ name }}, $NAME_OF_A_VARIABLE.
var notExpanded = regexp.MustCompile(`^(?:\$\{.+\}|\$\(.+\)|\{\{.+\}\}|\$[A-Z][A-Z0-9]*_[A-Z0-9_]+)$`)

// badSecret returns what is wrong with a secret that headers carry: what nobody can have
// meant, since it was not resolved, or came with the line around it.
func badSecret(s string) string {
	if problem := notASecret(s); problem != "" {
		return problem
	}
	switch {
	case strings.HasSuffix(s, "\n") || strings.HasSuffix(s, "\r"):
		return "ends in a line break; expected one line without its end (echo -n, printf)"
	case strings.IndexFunc(s, unicode.IsControl) >= 0:
		return "has a line break or another control character; expected one line"
	}
	return ""
}

// badPassword returns what is wrong with a password of Redis: line breaks within, or a NUL, are
// of a file that holds something else. Any other character is sent as it is.
func badPassword(s string) string {
	if problem := notASecret(s); problem != "" {
		return problem
	}
	line := withoutLineEnds(s)
	if line == "" && s != "" {
		return "has nothing but line breaks; expected a password"
	}
	if strings.ContainsAny(line, "\r\n\x00") {
		return "has a line break or a NUL in it; expected one line"
	}
	return ""
}

// withoutLineEnds drops the line breaks at the end of a password: editors, echo and
// kubectl leave them there, and no password ends in one.
func withoutLineEnds(s string) string {
	return strings.TrimRight(s, "\r\n")
}

// notASecret returns what is wrong with what stands in place of a secret.
func notASecret(s string) string {
	text := strings.TrimSpace(s)
	switch {
	case len(text) >= 4 && strings.EqualFold(text[:4], "urn:"):
		return "begins with urn:, so it is a reference that nobody has resolved (Traefik does so for a Middleware in Kubernetes alone); expected what it refers to"
	case notExpanded.MatchString(text):
		return "is a variable or a template that nobody has filled in (Traefik does not do so in its dynamic files); expected what it stands for, or an option that ends in File or Env"
	case strings.HasPrefix(s, "\ufeff"):
		return "begins with a byte order mark; expected what comes after it"
	}
	return ""
}

// names trims a list and refuses empty and duplicate members: a list that is
// empty by accident would match everything. The members keep their places.
func (p *problems) names(path string, list []string) []string {
	var out []string
	seen := map[string]bool{}
	for i := 0; i < len(list); i++ {
		name := strings.TrimSpace(list[i])
		switch {
		case name == "":
			p.add(at(path, i), "is empty; expected a value, or no list at all")
		case seen[name]:
			p.add(at(path, i), "%q is listed twice", name)
		}
		seen[name] = true
		out = append(out, name)
	}
	return out
}

// isLine reports whether a text is one line that can be read, without blanks around it.
func isLine(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0 && s == strings.TrimSpace(s) && !strings.ContainsAny(s, "\u2028\u2029")
}

// at is the path of a member of a list.
func at(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

func hasString(list []string, s string) bool {
	for i := 0; i < len(list); i++ {
		if list[i] == s {
			return true
		}
	}
	return false
}

func canonical(name string) string {
	return http.CanonicalHeaderKey(strings.TrimSpace(name))
}

func (p *problems) header(path, s string) string {
	if !isName(s) {
		p.add(path, "%q; expected the name of a header", s)
	}
	return canonical(s)
}

// sortedKeys returns the names of a map in order, so that errors and rules do
// not depend on the order of a map.
func sortedKeys(m map[string]interface{}) []string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

// isName reports whether a header field or a cookie can have a name. A * would be a
// part of it, which nobody means.
func isName(s string) bool {
	return tokenName.MatchString(s) && !strings.Contains(s, "*")
}
