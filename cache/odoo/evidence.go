package odoo

import "bytes"

// EvidenceGroups are the rules of the preset for pages, each with a bit of its own in what
// evidence has shown of a session. A file shows nothing of pages: all rules for files share a bit.
// What a page of one rule shows of a session says little of pages of another: a module may show
// prices of its own on products alone.
var EvidenceGroups = []string{
	"odoo-home", "odoo-shop", "odoo-shop-filter", "odoo-product", "odoo-search", "odoo-blog", "odoo-events", "odoo-event", "odoo-event-times",
	"odoo-forum", "odoo-courses", "odoo-jobs", "odoo-shapes", "odoo-pages",
}

// ShowsPages reports whether a bit is of rules for pages, whose answers are to be whole pages.
func ShowsPages(bit int) bool {
	return bit > 0 && bit <= len(EvidenceGroups) && EvidenceGroups[bit-1] != "odoo-shapes"
}

// IsWhole reports whether an answer is a page, and not a part of one, or data, for its scripts:
// these have pages' addresses, but show no cart.
func IsWhole(page []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(page), pageSign[:1]) && bytes.Contains(page, pageSign)
}

var pageSign = []byte("<html")

// HasHeader reports whether a page has the header that shows its visitor's cart, wishlist and
// name (addons/website/views/website_templates.xml, website.layout). Some pages have none.
func HasHeader(page []byte) bool {
	return IsWhole(page) && bytes.Contains(page, headerSign)
}

var headerSign = []byte("<header")

// SamePage reports whether two pages show the same: they are equal but for their CSRF tokens,
// and the quotes that these stand in. Odoo's own page cache writes other quotes than its
// templates (addons/website/models/ir_http.py, _serve_page).
func SamePage(one, other []byte) bool {
	return bytes.Equal(withoutTokens(one), withoutTokens(other))
}

// withoutTokens is a page with placeholders in double quotes in place of its tokens.
func withoutTokens(page []byte) []byte {
	if found := Tokens(page); len(found) > 0 {
		page = WithPlaceholders(page, found)
	}
	return bytes.ReplaceAll(page, singleQuoted, doubleQuoted)
}

var (
	singleQuoted = []byte("'" + Placeholder + "'")
	doubleQuoted = []byte(`"` + Placeholder + `"`)
)
