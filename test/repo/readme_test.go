package repo_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
)

// optionRow is an option of the plugin, or its row in docs/options.md or docs/rules.md.
type optionRow struct {
	Type    string // string, word, duration, size, number, boolean, list, map
	Default string
}

// TestReadmeOptions holds the option tables against the code: each option has
// one row, with its type and default.
func TestReadmeOptions(t *testing.T) {
	rows, err := optionRows(site.Readme(t))
	require.NoError(t, err)
	assert.Equal(t, knownOptions(), rows)
}

// TestReadmeReasons holds the table of reasons against the constants.
func TestReadmeReasons(t *testing.T) {
	rows, err := reasonRows(site.Readme(t))
	require.NoError(t, err)
	assert.ElementsMatch(t, reasonConstants(t), rows)
}

// TestReadmeCommands holds the ACL user against the commands in the code.
func TestReadmeCommands(t *testing.T) {
	assert.ElementsMatch(t, redisCommands(t), aclCommands(site.Readme(t)))
}

// sinceRedis are the versions of Redis in which the commands came, with the options
// that are used: SET NX PX, ZADD NX, ZRANGE WITHSCORES (https://redis.io/commands).
var sinceRedis = map[string]float64{
	"get": 1.0, "set": 2.6, "del": 1.0, "exists": 1.0, "type": 1.0, "select": 1.0, "echo": 1.0, "info": 1.0, "role": 2.8, "eval": 2.6, "hgetall": 2.0, "scan": 2.8,
	"zadd": 3.0, "zscore": 1.2, "zcard": 1.2, "zrange": 1.2, "zincrby": 1.2, "zrangebyscore": 2.2,
	"sentinel": 2.8, "cluster": 3.0, "asking": 3.0, // get-master-addr-by-name, slots
	"zremrangebyscore": 1.2, "zremrangebyrank": 2.0,
}

// TestOldRedis: nothing that is sent needs more than Redis 6.0.
func TestOldRedis(t *testing.T) {
	others := commandsIn(t, "cache/resp/sentinel.go", "cache/resp/cluster.go")
	assert.ElementsMatch(t, []string{"sentinel", "cluster", "asking"}, others)
	for _, command := range append(redisCommands(t), others...) {
		since, known := sinceRedis[command]
		assert.True(t, known, "%s: since when?", command)
		assert.LessOrEqual(t, since, 6.0, command)
	}
}

// TestReadmeACL lets the ACL user of docs/redis.md store, hit and purge.
func TestReadmeACL(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on the PATH")
	}
	dir := t.TempDir()
	user := strings.Fields(strings.TrimPrefix(aclLine(site.Readme(t)), "ACL SETUSER "))
	conf := "user default off\nuser " + strings.Join(user, " ") + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "redis.conf"), []byte(conf), 0o600))
	server := exec.Command("redis-server", filepath.Join(dir, "redis.conf"), "--port", "0", "--unixsocket", filepath.Join(dir, "s"), "--save", "", "--dir", dir)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", filepath.Join(dir, "s"))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)

	s := site.New(t, site.Compiled, site.Options{
		"redis":  site.Options{"address": "unix://" + filepath.Join(dir, "s"), "username": user[0], "password": "change-me", "database": "1", "timeout": "5s", "dialTimeout": "5s"},
		"memory": site.Options{"bytes": "0"},
		"purge":  site.Options{"secret": "change-me-please"},
		"limits": site.Options{"variants": "1"},
	}, site.Page("x", "Cache-Control: max-age=60", "Vary: Accept"))
	for _, step := range []struct{ accept, want string }{
		{"a", "fwd=uri-miss; stored"}, {"a", "hit"}, {"b", "fwd=vary-miss; detail=admission"}, {"b", "fwd=vary-miss; stored"}, {"a", "fwd=vary-miss; stored"},
	} {
		assert.Contains(t, s.Get("/shop", "Accept: "+step.accept).CacheStatus(), step.want)
	}
	for _, body := range []string{`{"tags":["a"]}`, `{"all":true}`} {
		r := s.Do(http.MethodPost, "/.odoocache/purge", body, "Authorization: Bearer change-me-please")
		assert.Equal(t, http.StatusOK, r.Status, r.Body)
	}
	assert.Contains(t, s.Get("/shop", "Accept: a").CacheStatus(), "purged")

	s.Do(http.MethodPost, "/shop", "x", "Cookie: session_id="+site.SessionID(1))
	got := s.Get("/.odoocache/status", "Authorization: Bearer change-me-please")
	assert.Contains(t, got.Body, `"pendingPurges":0`, "the session was noted")
}

// TestReadmeSnippets lets the plugin check the options of every snippet and
// example.
func TestReadmeSnippets(t *testing.T) {
	t.Setenv("PURGE_SECRET", "change-me-please")
	sources := map[string]string{}
	for _, path := range site.Documents(t) {
		for i, block := range regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```$").FindAllStringSubmatch(site.Document(t, path), -1) {
			sources[fmt.Sprintf("%s, snippet %d", path, i+1)] = block[1]
		}
	}
	require.NoError(t, filepath.WalkDir(source.Path("examples"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, err := os.ReadFile(path)
			sources[path] = string(b)
			return err
		}
		return err
	}))
	checked := 0
	for name, text := range sources {
		t.Run(name, func(t *testing.T) {
			n, problems := checkSnippet(text)
			assert.Empty(t, problems)
			checked += n
		})
	}
	assert.Equal(t, 12, checked, "snippets and examples with options of the plugin")
}

// TestReadmePurges sends the JSON bodies of the purges in docs/purging.md.
func TestReadmePurges(t *testing.T) {
	s := site.New(t, site.Compiled, site.Options{"purge": site.Options{"secret": "change-me-please"}}, site.Page("x"))
	bodies := regexp.MustCompile(`-d '([^']+)' https://shop.example(\S+)`).FindAllStringSubmatch(site.Readme(t), -1)
	require.Len(t, bodies, 3)
	for _, body := range bodies {
		r := s.Do(http.MethodPost, body[2], body[1], "Authorization: Bearer change-me-please")
		assert.Equal(t, http.StatusOK, r.Status, r.Body)
	}
}

// TestReadmeChecksFail shows that the checks above can fail.
func TestReadmeChecksFail(t *testing.T) {
	t.Setenv("PURGE_SECRET", "change-me-please")
	text := site.Readme(t)
	change := func(from, to string) string {
		require.Contains(t, text, from)
		return strings.Replace(text, from, to, 1)
	}
	for _, c := range []struct{ name, from, to string }{
		{"option without a row", "| `redis.timeout` | duration |", "| redis.timeout | duration |"},
		{"row without an option", "| `redis.timeout` | duration |", "| `redis.timeuot` | duration |"},
		{"wrong default", "| duration | `100ms` |", "| duration | `200ms` |"},
		{"wrong type", "| `redis.timeout` | duration |", "| `redis.timeout` | number |"},
		{"a row twice", "| `redis.dialTimeout` |", "| `redis.timeout` |"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, err := optionRows(change(c.from, c.to))
			assert.True(t, err != nil || !assert.ObjectsAreEqual(knownOptions(), rows))
		})
	}
	t.Run("reason without a row", func(t *testing.T) {
		rows, err := reasonRows(change("| `set-cookie` |", "| `set-cookies` |"))
		require.NoError(t, err)
		assert.NotContains(t, rows, "set-cookie")
		assert.Contains(t, rows, "set-cookies")
	})
	t.Run("command that the user lacks", func(t *testing.T) {
		assert.NotContains(t, aclCommands(change(" +zadd", "")), "zadd")
	})
	for _, c := range []struct{ name, text, want string }{
		{"option in YAML", "plugin: {odoocache: {tenat: shop}}", `unknown field "tenat"`},
		{"option of a rule in YAML", "plugin: {odoocache: {rules: [{match: {path: /shop}}]}}", `unknown field "path"`},
		{"value in YAML", "plugin: {odoocache: {redis: {timeout: soon}}}", "redis.timeout"},
		{"option in a label", "- traefik.http.middlewares.x.plugin.odoocache.rules[0].tll=1h", `unknown field "tll"`},
		{"no YAML", "plugin: {", "yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, problems := checkSnippet(c.text)
			assert.Contains(t, strings.Join(problems, "\n"), c.want)
		})
	}
}

// tableRows returns the cells of the rows of all tables with a given head.
func tableRows(text, head string) [][]string {
	var rows [][]string
	in := false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case line == head:
			in = true
		case !strings.HasPrefix(line, "|"):
			in = false
		case in && !strings.HasPrefix(line, "|---"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func optionRows(text string) (map[string]optionRow, error) {
	rows := map[string]optionRow{}
	for _, cells := range tableRows(text, "| option | type | default | meaning |") {
		if len(cells) != 4 || cells[3] == "" {
			return nil, fmt.Errorf("%q is not a row of four cells", cells)
		}
		name := strings.Trim(cells[0], "`")
		if _, twice := rows[name]; twice {
			return nil, fmt.Errorf("%s has two rows", name)
		}
		if cells[0] != "`"+name+"`" {
			return nil, fmt.Errorf("%s is not in backquotes", name)
		}
		rows[name] = optionRow{Type: cells[1], Default: strings.Trim(cells[2], "`")}
	}
	return rows, nil
}

func reasonRows(text string) ([]string, error) {
	var reasons []string
	for _, cells := range tableRows(text, "| reason | meaning |") {
		if len(cells) != 2 || cells[0] == "" || cells[1] == "" {
			return nil, fmt.Errorf("%q: a reason without a meaning", cells)
		}
		reasons = append(reasons, strings.Trim(cells[0], "`"))
	}
	return reasons, nil
}

// reasonConstants reads the values of policy's Reason constants.
func reasonConstants(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), source.Path("cache/policy/reason.go"), nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var reasons []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			reasons = append(reasons, value)
		}
		return true
	})
	require.Greater(t, len(reasons), 40)
	return reasons
}

// knownOptions walks the configuration. A structure's options have its path
// before them; those of a list of structures "[]" after the list's.
func knownOptions() map[string]optionRow {
	known := map[string]optionRow{}
	walkOptions("", reflect.ValueOf(*option.Default()), known)
	for name, o := range known {
		if o.Type == "string" && o.Default != "not set" {
			o.Type = kindOf(name)
			known[name] = o
		}
	}
	return known
}

func walkOptions(path string, v reflect.Value, known map[string]optionRow) {
	for i := 0; i < v.NumField(); i++ {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name == "?" {
			continue
		}
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Struct:
			walkOptions(path+name+".", f, known)
		case reflect.Map:
			known[path+name] = optionRow{Type: "map", Default: "{}"}
		case reflect.Slice:
			known[path+name] = optionRow{Type: "list", Default: "[]"}
			if list, is := f.Interface().([]string); is {
				known[path+name] = optionRow{Type: "list", Default: "[" + strings.Join(list, ", ") + "]"}
			}
			if e := f.Type().Elem(); e.Kind() == reflect.Struct {
				walkOptions(path+name+"[].", reflect.Zero(e), known)
			}
		case reflect.Ptr: // tells if it is given
			known[path+name] = optionRow{Type: "string", Default: "not set"}
		default:
			o := optionRow{Type: f.Kind().String(), Default: f.String()}
			if o.Default == "" {
				o.Default = `""`
			}
			known[path+name] = o
		}
	}
}

// kindOf asks the plugin what it expects of a string option, by giving it what
// no option but a free string takes.
func kindOf(name string) string {
	c := option.Default()
	c.Rules = []option.Rule{{Match: option.Match{Methods: []string{"GET"}}}}
	v := reflect.ValueOf(c).Elem()
	for _, part := range strings.Split(name, ".") {
		v = fieldByTag(v, strings.TrimSuffix(part, "[]"))
		if strings.HasSuffix(part, "[]") {
			v = v.Index(0)
		}
	}
	v.SetString("?!")
	_, err := config.Build(c)
	if err == nil {
		return "string"
	}
	for _, problem := range strings.Split(err.Error(), "; ") {
		if strings.HasPrefix(problem, "expected ") {
			for _, k := range []struct{ text, kind string }{
				{"expected a duration", "duration"}, {"expected a size", "size"}, {"expected a number", "number"},
				{"expected true or false", "boolean"}, {"expected one of", "word"}, {"expected odoo", "word"},
			} {
				if strings.HasPrefix(problem, k.text) {
					return k.kind
				}
			}
		}
	}
	return "string"
}

func fieldByTag(v reflect.Value, tag string) reflect.Value {
	for i := 0; i < v.NumField(); i++ {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name == tag {
			return v.Field(i)
		}
	}
	panic("no option " + tag)
}

// checkSnippet decodes YAML and checks the plugin's options in it, which stand
// below plugin: odoocache: or in labels. It returns how many it has found.
func checkSnippet(text string) (found int, problems []string) {
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		var root interface{}
		if err := yaml.Unmarshal([]byte(document), &root); err != nil {
			return found, append(problems, "yaml: "+err.Error())
		}
		for _, o := range append(findOptions(root), labelOptions(root)...) {
			found++
			if err := checkOptions(o); err != nil {
				problems = append(problems, err.Error())
			}
		}
	}
	return found, problems
}

func checkOptions(o interface{}) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	c := option.Default()
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return err
	}
	if c.Tenants.File != "" {
		if c.Tenants.File, err = listOfTenants(); err != nil {
			return err
		}
		defer os.RemoveAll(filepath.Dir(c.Tenants.File))
	}
	_, err = config.Build(c)
	return err
}

// listOfTenants writes the list of docs/tenants.md, with the secret that it names, and returns
// its file.
func listOfTenants() (string, error) {
	b, err := os.ReadFile(source.Path("docs", "tenants.md"))
	if err != nil {
		return "", err
	}
	list := regexp.MustCompile("(?ms)^```json\n(.*?)^```$").FindSubmatch(b)
	dir, err := os.MkdirTemp("", "tenants")
	if err != nil || list == nil {
		return "", fmt.Errorf("docs/tenants.md has no list: %w", err)
	}
	secret := filepath.Join(dir, "acme")
	text := strings.ReplaceAll(string(list[1]), "/run/secrets/acme", secret)
	return filepath.Join(dir, "tenants.json"), errors.Join(os.WriteFile(secret, []byte("change-me-please"), 0o600), os.WriteFile(filepath.Join(dir, "tenants.json"), []byte(text), 0o600))
}

// findOptions returns what stands below plugin: odoocache:, scalars as strings.
func findOptions(node interface{}) []interface{} {
	var found []interface{}
	switch node := node.(type) {
	case map[string]interface{}:
		for name, child := range node {
			if plugin, ok := child.(map[string]interface{}); ok && name == "plugin" {
				found = append(found, stringly(plugin["odoocache"]))
				continue
			}
			found = append(found, findOptions(child)...)
		}
	case []interface{}:
		for _, child := range node {
			found = append(found, findOptions(child)...)
		}
	}
	return found
}

func stringly(node interface{}) interface{} {
	switch node := node.(type) {
	case map[string]interface{}:
		out := map[string]interface{}{}
		for name, child := range node {
			out[name] = stringly(child)
		}
		return out
	case []interface{}:
		out := []interface{}{}
		for _, child := range node {
			out = append(out, stringly(child))
		}
		return out
	}
	// Traefik resolves a reference before the plugin sees it.
	return strings.Replace(fmt.Sprint(node), "urn:k8s:secret:", "resolved-", 1)
}

var (
	readmeLabel = regexp.MustCompile(`^traefik\.http\.middlewares\.[^.]+\.plugin\.odoocache\.([^=]+)=(.*)$`)
	readmeIndex = regexp.MustCompile(`^(\w+)\[(\d+)\]$`)
)

// labelOptions puts the labels of a document together.
func labelOptions(node interface{}) []interface{} {
	lists := map[string]bool{}
	for name, o := range knownOptions() {
		lists[name] = o.Type == "list"
	}
	options := map[string]interface{}{}
	for _, line := range scalarsOf(node) {
		m := readmeLabel.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		var value interface{} = strings.ReplaceAll(m[2], "$$", "$")
		if lists[regexp.MustCompile(`\[\d+\]`).ReplaceAllString(m[1], "[]")] {
			value = strings.Split(m[2], ",")
		}
		putOption(options, strings.Split(m[1], "."), value)
	}
	if len(options) == 0 {
		return nil
	}
	return []interface{}{options}
}

func putOption(to map[string]interface{}, path []string, value interface{}) {
	name := path[0]
	if m := readmeIndex.FindStringSubmatch(name); m != nil {
		name = m[1]
		i, _ := strconv.Atoi(m[2])
		list, _ := to[name].([]interface{})
		for len(list) <= i {
			list = append(list, map[string]interface{}{})
		}
		to[name] = list
		putOption(list[i].(map[string]interface{}), path[1:], value)
		return
	}
	if len(path) == 1 {
		to[name] = value
		return
	}
	if to[name] == nil {
		to[name] = map[string]interface{}{}
	}
	putOption(to[name].(map[string]interface{}), path[1:], value)
}

func scalarsOf(node interface{}) []string {
	switch node := node.(type) {
	case map[string]interface{}:
		var all []string
		for _, child := range node {
			all = append(all, scalarsOf(child)...)
		}
		return all
	case []interface{}:
		var all []string
		for _, child := range node {
			all = append(all, scalarsOf(child)...)
		}
		return all
	}
	return []string{fmt.Sprint(node)}
}

func aclLine(text string) string {
	return regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(text)
}

func aclCommands(text string) []string {
	var commands []string
	for _, word := range strings.Fields(aclLine(text)) {
		if strings.HasPrefix(word, "+") {
			commands = append(commands, word[1:])
		}
	}
	sort.Strings(commands)
	return commands
}

// redisCommands returns the commands in the code: first arguments of pipelines,
// and calls of scripts. AUTH and HELLO need no permission.
func redisCommands(t *testing.T) []string {
	t.Helper()
	commands := commandsIn(t, append(codeOf(t, "cache/storage/redis"), "cache/resp/conn.go")...)
	require.Greater(t, len(commands), 8)
	return commands
}

// codeOf returns the files of a package without its tests.
func codeOf(t *testing.T, folder string) (paths []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, path := range all {
		if !strings.HasSuffix(path, "_test.go") {
			paths = append(paths, path)
		}
	}
	return paths
}

func commandsIn(t *testing.T, paths ...string) []string {
	t.Helper()
	seen := map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), source.Path(path), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit: // []string{"GET", …}
				if a, ok := n.Type.(*ast.ArrayType); ok && fmt.Sprint(a.Elt) == "string" && len(n.Elts) > 0 {
					addCommand(seen, n.Elts[0])
				}
			case *ast.CallExpr: // append(args, "DEL")
				if fmt.Sprint(n.Fun) == "append" {
					addCommand(seen, n.Args[1])
				}
			case *ast.BasicLit:
				for _, call := range regexp.MustCompile(`redis\.call\('([A-Z]+)'`).FindAllStringSubmatch(n.Value, -1) {
					seen[strings.ToLower(call[1])] = true
				}
			}
			return true
		})
	}
	delete(seen, "auth")
	delete(seen, "hello")
	var commands []string
	for name := range seen {
		commands = append(commands, name)
	}
	return commands
}

func addCommand(seen map[string]bool, e ast.Expr) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return
	}
	if word, err := strconv.Unquote(lit.Value); err == nil && regexp.MustCompile(`^[A-Z]{3,}$`).MatchString(word) {
		seen[strings.ToLower(word)] = true
	}
}
