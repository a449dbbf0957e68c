package odoo

import "bytes"

// Personal reports whether a page was rendered for one visitor.
func Personal(plain []byte) bool {
	if ofUser(plain) || bytes.Contains(plain, chatSigns[0]) || bytes.Contains(plain, chatSigns[1]) {
		return true
	}
	carts := bytes.Count(plain, cartSign)
	return carts > 0 && carts > bytes.Count(plain, noCart)
}

// ofUser reports whether a text has one of userSigns.
func ofUser(plain []byte) bool {
	n := bytes.Count(plain, userStart)
	if n > fewStarts {
		for i := 0; i < len(userSigns); i++ {
			if bytes.Contains(plain, userSigns[i]) {
				return true
			}
		}
		return false
	}
	for ; n > 0; n-- {
		plain = plain[bytes.Index(plain, userStart):]
		for i := 0; i < len(userSigns); i++ {
			if bytes.HasPrefix(plain, userSigns[i]) {
				return true
			}
		}
		plain = plain[len(userStart):]
	}
	return false
}

// Signs of a page that was rendered for one visitor: a signed-in user in the
// session info of every page (addons/web/models/ir_http.py; Odoo 14
// to 16 know is_website_user alone, addons/website/models/ir_http.py), a chat that an
// operator has begun with them (addons/website_livechat; another word as of Odoo 18).
var (
	userSigns = [][]byte{
		[]byte(`"is_public": false`), []byte(`"is_public":false`), []byte(`"is_website_user": false`), []byte(`"is_website_user":false`),
	}
	userStart = []byte(`"is_`) // what they begin with: a text is read for that alone
	chatSigns = [][]byte{[]byte(`"chat_request_session"`), []byte(`"force_thread"`)}
)

// fewStarts is how many of userStart are looked at one by one.
const fewStarts = 30

// The sign of a cart in a page's header (addons/website_sale/views/templates.xml).
// Without a cart Odoo 14 to 18 write it without a value, Odoo 19 leaves it out.
var (
	cartSign = []byte(` data-order-id="`)
	noCart   = []byte(` data-order-id=""`)
)

// ConsentSigns are in pages that differ for visitors who agree to optional cookies: the
// cookies bar, and what keeps scripts of others from running
// (addons/website/views/website_templates.xml, website/models/ir_qweb.py).
var ConsentSigns = [][]byte{
	[]byte(`id="` + ConsentCookie + `"`), []byte("watch3rdPartyScripts("), []byte("data-need-cookies-approval"),
}
