package repo_test

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/source"
)

// addonLanguages are those of the addon's screens, beside English.
var addonLanguages = []string{"de", "es", "fr", "nl"}

// TestAddonTranslations: each text of the screens is there in each language, with what
// stands for a value in it.
func TestAddonTranslations(t *testing.T) {
	templates, err := filepath.Glob(source.Path("odoo", "addons", "*", "i18n", "*.pot"))
	require.NoError(t, err)
	require.NotEmpty(t, templates)
	for _, path := range templates {
		want := messages(t, path)
		require.NotEmpty(t, want, path)
		for _, language := range addonLanguages {
			file := filepath.Join(filepath.Dir(path), language+".po")
			got := messages(t, file)
			assert.Equal(t, texts(want), texts(got), file)
			for text, translated := range got {
				assert.NotEmpty(t, translated, "%s: %q", file, text)
				assert.Equal(t, placeholders(text), placeholders(translated), "%s: %q", file, text)
			}
		}
	}
	// What the code says is in the template.
	for _, pattern := range []string{"models/*.py", "static/src/*.js"} {
		files, err := filepath.Glob(source.Path("odoo", "addons", "odoocache", filepath.FromSlash(pattern)))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		want := messages(t, source.Path("odoo", "addons", "odoocache", "i18n", "odoocache.pot"))
		for _, file := range files {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range spoken.FindAllStringSubmatch(string(b), -1) {
				text := ""
				for _, part := range quotedText.FindAllString(m[1], -1) {
					s, err := strconv.Unquote(part)
					require.NoError(t, err, "%s: %s", file, part)
					text += s
				}
				assert.Contains(t, want, text, "%s; odoo i18n export writes the template anew", file)
			}
		}
	}
}

var (
	// spoken finds _("…") and _t("…"), in one or several parts.
	spoken      = regexp.MustCompile(`\b_t?\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)`)
	quotedText  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	placeholder = regexp.MustCompile(`%(?:\(\w+\))?[sd]`)
)

func placeholders(text string) []string {
	found := placeholder.FindAllString(text, -1)
	sort.Strings(found)
	return found
}

func texts(m map[string]string) []string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

// messages reads the texts of a .po or .pot file and what they are translated to.
func messages(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	found := map[string]string{}
	for _, block := range strings.Split(string(b), "\n\n") {
		id, text, into := "", "", (*string)(nil)
		for _, line := range strings.Split(block, "\n") {
			switch {
			case strings.HasPrefix(line, "msgid "):
				into, line = &id, strings.TrimPrefix(line, "msgid ")
			case strings.HasPrefix(line, "msgstr "):
				into, line = &text, strings.TrimPrefix(line, "msgstr ")
			case !strings.HasPrefix(line, `"`):
				continue
			}
			s, err := strconv.Unquote(line)
			require.NoError(t, err, "%s: %s", path, line)
			*into += s
		}
		if id != "" {
			assert.NotContains(t, found, id, path)
			found[id] = text
		}
	}
	return found
}

// TestAddonPort: what odoo/port writes for earlier versions of Odoo bears their version,
// and has no view that they do not know. That they take it is not tested.
func TestAddonPort(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is missing")
	}
	for _, series := range []string{"17.0", "18.0"} {
		to := filepath.Join(t.TempDir(), "addons")
		out, err := exec.Command(source.Path("odoo", "port"), series, to).CombinedOutput()
		require.NoError(t, err, "%s", out)
		manifests, err := filepath.Glob(filepath.Join(to, "*", "__manifest__.py"))
		require.NoError(t, err)
		require.NotEmpty(t, manifests)
		for _, path := range manifests {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Regexp(t, `'version': '`+regexp.QuoteMeta(series)+`\.\d+\.\d+\.\d+'`, string(b), path)
		}
		require.NoError(t, filepath.WalkDir(to, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".xml" {
				return err
			}
			tags := tagsOf(t, path)
			if series == "17.0" {
				assert.NotContains(t, tags, "list", path)
				assert.NotContains(t, tags, "kanban", path)
			}
			return nil
		}))
	}
}

// tagsOf returns the names of a file's elements.
func tagsOf(t *testing.T, path string) map[string]bool {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	tags := map[string]bool{}
	d := xml.NewDecoder(f)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return tags
		}
		require.NoError(t, err, path)
		if e, ok := token.(xml.StartElement); ok {
			tags[e.Name.Local] = true
		}
	}
}
