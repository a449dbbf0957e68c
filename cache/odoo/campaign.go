package odoo

import "fmt"

// Campaigns are Odoo's parameters; the cookies have odoo_ before them.
var Campaigns = []string{"utm_campaign", "utm_source", "utm_medium"}

// MaxCampaign bounds a value.
const MaxCampaign = 256

// QuotedValue writes a value as Odoo's HTTP library does, and reads it: in quotes,
// with octal escapes, if there is anything that a cookie cannot hold.
func QuotedValue(value string) string {
	plain := true
	escaped := ""
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '"' || c == '\\':
			plain = false
			escaped += "\\" + string(rune(c))
		case c < 0x20 || c >= 0x7f || c == ';' || c == ',':
			plain = false
			escaped += fmt.Sprintf("\\%03o", c)
		default:
			plain = plain && c != ' '
			escaped += string(rune(c))
		}
	}
	if plain {
		return value
	}
	return `"` + escaped + `"`
}
