// Package odoo holds answers captured from an Odoo 19 shop with demo data, as
// cmd/capture wrote them: one HTTP message per page and index.json, which lists
// them with their render times. Package origin replays them.
package odoo

import "embed"

// FS holds index.json and the captured messages.
//
//go:embed index.json *.http
var FS embed.FS
