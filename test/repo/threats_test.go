package repo_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/source"
)

// testNames are the names of all tests of this repository, those of the addons included.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	pattern := regexp.MustCompile(`(?m)^(?:func ((?:Test|Fuzz)\w+)\(|\s*def (test_\w+)\()`)
	names := map[string]bool{}
	require.NoError(t, filepath.WalkDir(source.Path(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".py") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range pattern.FindAllStringSubmatch(string(b), -1) {
			names[m[1]+m[2]] = true
		}
		return err
	}))
	return names
}

// threatsIn are the rows of the tables with tests, and what is wrong with them.
func threatsIn(text string, names map[string]bool) (rows int, wrong []string) {
	name := regexp.MustCompile("`((?:Test|Fuzz|test_)\\w+)`")
	inTable := false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
			continue
		case strings.HasSuffix(line, "| tests |"):
			inTable = true
			continue
		case !inTable || strings.HasPrefix(line, "|---"):
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|"), "|")
		found := name.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(found) == 0 || len(cells) != 3 {
			wrong = append(wrong, "no test holds: "+line)
		}
		for _, m := range found {
			if !names[m[1]] {
				wrong = append(wrong, "there is no test "+m[1]+": "+line)
			}
		}
	}
	return rows, wrong
}

// TestThreats: each line of the threat model names tests, and these are there.
func TestThreats(t *testing.T) {
	b, err := os.ReadFile(source.Path("docs/threats.md"))
	require.NoError(t, err)
	rows, wrong := threatsIn(string(b), testNames(t))
	assert.Empty(t, wrong, strings.Join(wrong, "\n"))
	assert.Greater(t, rows, 30)
}

// TestThreatsFindsWhatIsMissing: the check above can fail.
func TestThreatsFindsWhatIsMissing(t *testing.T) {
	head := "| what | holds | tests |\n|---|---|---|\n"
	for line, want := range map[string]string{
		"| a | b | `TestThere` |":             "",
		"| a | b | `TestThere`, `TestGone` |": "there is no test TestGone",
		"| a | b | none |":                    "no test holds",
		"| a | `TestThere` |":                 "no test holds",
	} {
		rows, wrong := threatsIn(head+line, map[string]bool{"TestThere": true})
		assert.Equal(t, 1, rows)
		if want == "" {
			assert.Empty(t, wrong)
		} else {
			assert.Contains(t, strings.Join(wrong, "\n"), want)
		}
	}
}
