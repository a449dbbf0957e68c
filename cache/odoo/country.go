package odoo

import "bytes"

var (
	// CountryField stands in each page of an Odoo that could know the country of an address.
	CountryField = []byte(`"geoip_country_code"`)
	// CountrySign is what follows where it does.
	CountrySign = []byte(`"geoip_country_code": "`)
	endOfHead   = []byte("</head>")
	bodyBegins  = []byte("<body")
)

// Head returns what of a page is Odoo's own: it writes what it knows of the session into a
// script there (addons/website/views/website_templates.xml, frontend_layout). Its authors
// write what follows, and may write the same words.
func Head(body []byte) []byte {
	if end := bytes.Index(body, endOfHead); end >= 0 {
		body = body[:end]
	}
	if end := bytes.Index(body, bodyBegins); end >= 0 {
		body = body[:end]
	}
	return body
}
