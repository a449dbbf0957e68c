package repo_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestReadmeIsShort: the README is for somebody who has ten minutes, and CONTRIBUTING.md is
// one screen. The rest has pages of its own in docs/.
func TestReadmeIsShort(t *testing.T) {
	assert.LessOrEqual(t, len(site.Document(t, "README.md")), 12000, "bytes of README.md")
	assert.LessOrEqual(t, strings.Count(site.Document(t, "CONTRIBUTING.md"), "\n"), 60, "lines of CONTRIBUTING.md")
}

// TestDocsSayWhatTheyAreFor: each page has a title, and one sentence on what it is for.
func TestDocsSayWhatTheyAreFor(t *testing.T) {
	begins := regexp.MustCompile(`^# [A-Z][^\n]+\n\nThis page [^\n]+[.:]`)
	for _, path := range site.Documents(t) {
		if path != "README.md" {
			assert.True(t, begins.MatchString(site.Document(t, path)), path)
		}
	}
}

// TestLinks: each relative link of a page leads to a file or folder that is there, and to a
// heading in it if it names one. Each page of docs/ can be reached from the README.
func TestLinks(t *testing.T) {
	pages := append(site.Documents(t), "CHANGELOG.md", "odoo/README.md")
	for _, path := range pages {
		assert.Empty(t, brokenLinks(path, site.Document(t, path)), path)
	}
	linked := map[string]bool{}
	for _, link := range pageLinks(site.Document(t, "README.md")) {
		to, _, _ := strings.Cut(link, "#")
		linked[to] = true
	}
	for _, path := range site.Documents(t) {
		assert.True(t, linked[filepath.ToSlash(path)] || path == "README.md", "README.md has no link to %s", path)
	}
}

// TestLinksFindsWhatIsBroken: the check above can fail.
func TestLinksFindsWhatIsBroken(t *testing.T) {
	dir := t.TempDir()
	other := "# Some `page`, of ours\n\n## Twice\n\n## Twice\n\n```sh\n# no heading\n```\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other.md"), []byte(other), 0o600))
	for text, want := range map[string]string{
		"[a](other.md)":                     "",
		"[a](other.md#some-page-of-ours)":   "",
		"[a](other.md#twice-1)":             "",
		"![a](other.md)":                    "",
		"[a](.)":                            "",
		"## Here, too\n[a](#here-too)":      "",
		"[a](https://example.com/none#x)":   "",
		"```sh\n[a](gone.md)\n```":          "",
		"`[a](gone.md)`":                    "",
		"[a](gone.md)":                      "gone.md",
		"![a](gone.svg)":                    "gone.svg",
		"[a](other.md#gone)":                "other.md#gone",
		"[a](other.md#twice-2)":             "other.md#twice-2",
		"[a](other.md#no-heading)":          "other.md#no-heading",
		"[a](#gone)":                        "#gone",
		"[a](other.md), [b](other.md#gone)": "other.md#gone",
		"[`a`](gone.go)":                    "gone.go",
	} {
		broken := brokenLinks(filepath.Join(dir, "page.md"), text)
		if want == "" {
			assert.Empty(t, broken, text)
		} else {
			assert.Equal(t, []string{want}, broken, text)
		}
	}
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codeBlock    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan     = regexp.MustCompile("`[^`\n]*`")
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// pageLinks are the links of a page, but for those in code.
func pageLinks(text string) []string {
	text = codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "")
	var links []string
	for _, m := range markdownLink.FindAllStringSubmatch(text, -1) {
		links = append(links, m[1])
	}
	return links
}

// brokenLinks are the relative links of a page that lead nowhere.
func brokenLinks(path, text string) []string {
	var broken []string
	for _, link := range pageLinks(text) {
		if strings.Contains(link, "://") {
			continue
		}
		to, anchor, named := strings.Cut(link, "#")
		page := text
		if to != "" {
			at := filepath.Join(filepath.Dir(path), to)
			if _, err := os.Stat(at); err != nil {
				broken = append(broken, link)
				continue
			}
			if named {
				b, _ := os.ReadFile(at)
				page = string(b)
			}
		}
		if named && !anchors(page)[anchor] {
			broken = append(broken, link)
		}
	}
	return broken
}

// anchors are what the headings of a page are linked by, as code hosts make them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, line := range strings.Split(codeBlock.ReplaceAllString(text, ""), "\n") {
		hashes, heading, is := strings.Cut(line, " ")
		if !is || hashes == "" || strings.Trim(hashes, "#") != "" {
			continue
		}
		anchor := strings.ReplaceAll(strings.ToLower(notInAnchor.ReplaceAllString(heading, "")), " ", "-")
		name := anchor
		for i := 1; found[name]; i++ {
			name = anchor + "-" + strconv.Itoa(i)
		}
		found[name] = true
	}
	return found
}
