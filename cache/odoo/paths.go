package odoo

import (
	"regexp"
	"strings"
)

// inLanguage is the beginning of a path with the code that may stand before it:
// /fr, /fr_BE, /es_419, /sr@latin, /en-gb. It is the url_code of res.lang,
// which an administrator may change (http_routing/models/ir_http.py, _match).
const inLanguage = `^(?:/[A-Za-z]{2,3}(?:[_-][A-Za-z0-9]{2,4})?(?:@[A-Za-z]+)?)?`

// inAnyLanguage takes whatever stands first for a language: what must not be
// cached must not be cached under a url_code of another shape either.
const inAnyLanguage = `^(?:/[^/]+)?`

// slug is a record in a path: customizable-desk-9, or 9 (http_routing/models/
// ir_http.py, _slug).
const slug = `(?:[^/]*-)?[0-9]+`

// MayBePersonalPath takes paths that may hold something only one visitor knows or is: a
// module may put a token into the path of a page that needs no other proof
// (/helpdesk/ticket/7/3f2504e0-4f89-11d3-9a0c-0305e82c3301). IsPersonalPath decides.
const MayBePersonalPath = certainlyPersonal + `|` + does + `|[0-9A-Za-z]{20}|[A-Z][^/]*[0-9]|[0-9][^/]*[A-Z]`

// certainlyPersonal takes, in turn: a UUID; 16 hex digits; a mail address; documents by
// their numbers.
const certainlyPersonal = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-` +
	`|[0-9a-fA-F]{16}` +
	`|@[^/]+\.` +
	`|/(?:invoices?|orders?|tickets?|quotes?|quotations?|tasks?|subscriptions?)/[0-9]+(?:/|$)`

// does takes segments that name what is done, not read.
const does = `/(?:` + doneToNamed + `|auth|callback|checkout|edit|identify|join|login|logout|oauth|oauth2|oidc|openid|pay|profile|saml|saml2|` +
	`set|sign|signin|signout|signup|start|switch|token|unlock|upload|vote|webhook)(?:/|$)`

// doneToNamed are words of things that are done to something, which the path names before
// the word, or a parameter: /ticket/7/confirm, /unsubscribe?id=7. With neither they are
// pages with such a name: /return, /fr/download.
const doneToNamed = `accept|activate|approve|cancel|claim|confirm|confirmation|decline|download|embed|export|invitation|invite|leave|print|refuse|` +
	`register|registration|reject|reset|return|submit|subscribe|success|track|unsubscribe|validate|verify`

// namesNothing takes a path that is such a word alone. A language of three letters before it
// may be something that is named: /rma/cancel.
const namesNothing = `^(?:/[A-Za-z]{2}(?:[_-][A-Za-z0-9]{2,4})?(?:@[A-Za-z]+)?)?/(?:` + doneToNamed + `)/?$`

var (
	certainly = regexp.MustCompile(certainlyPersonal)
	doing     = regexp.MustCompile(does)
	pageAlone = regexp.MustCompile(namesNothing)
)

// IsPersonalPath reports whether a path that MayBePersonalPath takes holds something only one
// visitor knows or is: it is certain, or names what is done to something, or has a token.
func IsPersonalPath(path string) bool {
	return certainly.MatchString(path) || doing.MatchString(path) && !pageAlone.MatchString(path) || OpaquePath(path)
}

// SpecialPaths are routes that bypass the cache and after which the session is
// in doubt: their answers belong to one visitor, or a GET of theirs does
// something. They are regular expressions of what follows a language, up to the
// end of a segment.
func SpecialPaths() []string {
	return []string{
		// The backend and everything below /web that no rule before has taken:
		// sign-in, sign-up, reset, two factors, database manager, profiling,
		// downloads of models (web/controllers, auth_signup, auth_totp).
		`web`, `odoo`, `@`, `scoped_app`, `scoped_app_icon_png`, `web_unsplash`, `base_import`, `base_import_module`, `base_setup`,
		// The portal (portal, account, sale, project, purchase …), and what is
		// done by links with a token: /my/orders/7?access_token=….
		`my`, `portal`, `(?:invoice|quote|sign|documents?|dashboard|spreadsheet|project|rating)/[^/]+`, `knowledge`, `helpdesk/tickets?`, `rate`,
		// Money: payment/controllers/portal.py, each provider's return and
		// webhook, website_payment donations.
		`payment`, `donation`,
		// Cart, checkout and what else is the visitor's own in the shop
		// (website_sale, website_sale_wishlist, website_sale_comparison,
		// website_sale_loyalty, website_sale_stock; Odoo 14: confirm_order,
		// terms, tracking_last_order).
		`shop/(?:cart|checkout|address|extra_info|payment|confirmation|print|pricelist|change_pricelist|wishlist|compare|express_checkout|express|products|` +
			`terms|confirm_order|tracking_last_order|claimreward|add|delivery_methods|set_delivery_method|update_address|save_shop_layout_mode|get_[a-z_]+|access_point|billing_address|country_infos|state_infos)`,
		`coupon`, `website_sale[a-z_]*`, `gmc\.xml`, `loyalty/[^/]+`,
		// Mail and what mails link to: views and unsubscriptions with tokens
		// (mail, mass_mailing, digest), invitations to a chat or call.
		`mail`, `mailing`, `digest`, `unsubscribe_from_list`, `sms`, `(?:chat|meet)/[^/]+`, `discuss`, `im_livechat`, `chatbot`, `website_livechat`, `calendar/[^/]+`, `appointment`, `cards/[^/]+`,
		// The mailing groups' confirmations (mail_group/controllers/portal.py).
		`group/[^/]+`,
		// Surveys and certifications: the address is a token (survey).
		`survey`, `s`, `slides_survey`,
		// Points of sale: self-ordering has a token (pos_self_order).
		`pos`, `pos-self`, `pos-self-order`, `pos_[a-z_]+`, `kiosk/[^/]+`, `hr_attendance`,
		// The bus: connections and notifications of one visitor.
		`websocket`, `longpolling`, `bus`,
		// Calls by programs (rpc, api_doc, mail_plugin).
		`xmlrpc`, `json`, `jsonrpc`, `doc`, `api/[^/]+`, `mail_client_extension`, `mail_plugin`,
		// Signing in elsewhere.
		`auth_[a-z_]+`, `auth/[^/]+`, `google_(?:account|calendar|gmail|drive)`, `microsoft_[a-z]+`,
		// Forms, server actions, the forced website, links to editors
		// (website/controllers/main.py, form.py; website_mass_mailing;
		// website_mail; website_form of Odoo 14).
		`website/(?:form|action|calendar|force|iframefallback|add|configurator|pages?|seo_[a-z]+|track_[a-z_]+|theme_[a-z_]+|publish|toggle_[a-z_]+|save_[a-z_]+|update_[a-z_]+|version|reset_[a-z]+|get_[a-z_]+|snippet)`,
		`website_form`, `website_mass_mailing`, `website_mail`, `website_links`, `web_editor/(?:attachment|assets|modify_[a-z]+|save_[a-z]+|get_[a-z_]+|video_url|checklist|stars)`, `html_editor/(?:attachment|modify_[a-z]+|save_[a-z]+|get_[a-z_]+|video_url|link_[a-z_]+|field|media_[a-z_]+|generate_text)`,
		// What is done within events, courses, jobs and the forum (website_event:
		// registration; website_event_booth; website_event_track:
		// proposals; website_slides: invitations, embedding; website_hr_recruitment:
		// applications). What of these modules is not here, and no page, is
		// taken by odoo-unknown.
		`event/[^/]+/(?:registration|booth|track_proposal|my_tickets)`, `event_[a-z_]+`,
		`slides/[^/]+/(?:invite|identify)`, `slides/(?:slide|channel|embed|embed_external|add_slide)`, `slide_[a-z_]+`,
		`jobs/(?:apply|add)`, `website_hr_recruitment`,
		`forum/(?:user|new)`, `forum/[^/]+/(?:ask|new|post|partner|user|validation_queue|flagged_queue|offensive_posts|closed_posts|edit|promote_[a-z_]+)`,
		// Profiles of users (website_profile), and confirmations of addresses.
		`profile`,
		// What HarmlessGets and the rules for files take, under other names of
		// languages.
		`r`, `report/barcode`, `website/(?:lang|social|image|translations)`, `website_payment`, `web_editor/font_to_img`,
	}
}

// HarmlessGets are routes that bypass the cache, but leave a default session
// one: they are part of any visit.
func HarmlessGets() []string {
	return []string{
		// web/controllers/binary.py, website/controllers/main.py: content has rights
		// of its own, and no route of these writes to the session. partner_image is
		// Odoo 14's.
		`/web/(?:content|image|assets|filestore|binary/company_logo|partner_image)(?:/|$)`, `/website/image(?:/|$)`,
		`/logo(?:\.png)?$`,
		// web/controllers/webclient.py, webmanifest.py, home.py: what scripts
		// load. Without lang and hash, texts depend on the language cookie.
		`/web/(?:webclient|bundle|service-worker\.js|manifest\.[a-z_]+|health|version|offline)(?:/|$)`,
		`/website/translations(?:/|$)`,
		`/event/(?:offline|service-worker\.js)$`,
		// bus/controllers/websocket.py: the handshake. What is sent over it belongs
		// to the live chat.
		`/bus/websocket_worker_bundle$`, `/websocket$`,
		// web/controllers/home.py, web_login; auth_signup/controllers/main.py, web_auth_signup
		// and web_auth_reset_password; website_sale/controllers/cart.py, cart;
		// website_sale_wishlist/controllers/main.py, get_wishlist;
		// website_sale_comparison/controllers/main.py, product_compare: pages that show a
		// form or what the visitor has. What writes to the session there are POSTs, and
		// parameters of StateParams and SessionParams.
		`/web/(?:login|signup|reset_password)/?$`, `/shop/(?:cart|wishlist|compare)/?$`,
		// portal/controllers/portal.py, home: who is not signed in is sent to sign in.
		`/my(?:/home)?/?$`,
		// website/controllers/main.py, change_lang: it sets frontend_lang, which
		// the key goes by, and sends back to the page. website_sale renames the
		// lines of a cart, if there is one.
		`/website/lang/[^/]+/?$`,
		// website/controllers/main.py, social; link_tracker/controller/main.py,
		// full_url_redirect, and mass_mailing/controllers/main.py: they count a
		// click and send on.
		`/website/social/[^/]+/?$`, `/r/[^/]+(?:/m/[0-9]+)?/?$`,
		// Pictures in mails, barcodes, the scripts of a live chat elsewhere.
		`/(?:mail|web_editor)/font_to_img/`, `/mail/(?:avatar|track)/`, `/report/barcode(?:/|$)`,
		`/im_livechat/(?:loader|external_lib\.[a-z]+|assets_embed\.[a-z]+|font-awesome|odoo_ui_icons|emoji_bundle)(?:/|$)`,
		`/discuss/voice/worklet_processor$`, `/mail/rtc/`,
		// website_sale/controllers/main.py, product_document; event/controllers/
		// main.py, event_ics_file: downloads, their language by cookie.
		`/shop/` + slug + `/document/[0-9]+$`, `/event/` + slug + `(?:/track/` + slug + `)?/ics$`,
		// website_event/controllers/main.py, event_register: the page with the
		// tickets, their number and slots in the time zone of the visitor's cookie
		// (_get_visitor_timezone). It only reads.
		`/event/` + slug + `/register/?$`,
		// website_forum/controllers/website_forum.py, tag_read: a list for a field.
		`/forum/get_tags$`,
		// website_slides/controllers/main.py, channel, slide_view, slide_get_image and
		// slide_get_pdf_content: a course, its lessons and their files. That a lesson was viewed is
		// noted in the session, so that it is counted once; no page shows it. Whoever takes part is
		// signed in.
		`/slides/` + slug + `(?:/(?:category|tag)/` + slug + `)?(?:/page/[0-9]+)?/?$`,
		`/slides/slide/` + slug + `(?:/(?:get_image|pdf_content))?/?$`,
		// website_payment/controllers/portal.py: logos for a snippet.
		`/website_payment/snippet/supported_payment_methods$`,
	}
}

// HarmlessPosts are the routes that pages call with a POST to read, or to note
// what no page shows: they leave a default session one. Nearly all are JSON.
func HarmlessPosts() []string {
	return []string{
		// website_sale/controllers/main.py: the visitor's last products, which a
		// snippet asks for; Odoo keeps them with the visitor, not the session.
		`/shop/products/(?:recently_viewed_update|recently_viewed_delete|recently_viewed|autocomplete)$`,
		// website_sale/controllers/variant.py, product_configurator.py,
		// combo_configurator.py, website.py: prices and choices. They may
		// note the pricelist and the fiscal position that the visitor has anyway.
		// Odoo 14 to 16: sale/get_combination_info_website,
		// sale_product_configurator.
		`/website_sale/(?:get_combination_info|should_show_product_configurator|product_configurator/[a-z_]+|combo_configurator/[a-z_]+)$`,
		`/sale/(?:get_combination_info_website|show_optional_products_website)$`,
		`/sale_product_configurator/[a-z_]+$`,
		`/shop/product/is_add_to_cart_allowed$`,
		`/website/get_current_currency$`,
		// website_sale/controllers/cart.py, cart_quantity: reads the number.
		`/shop/cart/quantity$`,
		// website_sale_wishlist, website_sale_comparison: read.
		`/shop/wishlist/get_product_ids$`, `/shop/compare/get_product_data$`, `/shop/get_product_data$`,
		// website/controllers/main.py: snippets, search suggestions, address
		// fields. Odoo 14 and 15: the visitor's time zone and last visit.
		`/website/snippet/(?:filters|filter_templates|options_filters|autocomplete)$`,
		`/website/country_infos/[^/]+$`, `/shop/country_infos/[^/]+$`, `/website/google_maps_api_key$`,
		`/website/update_visitor_(?:timezone|last_connection)$`,
		// Whether a visitor follows or subscribes: read; in Odoo 14 a popup's text.
		`/website_mass_mailing/(?:is_subscriber|get_content)$`, `/website_mail/is_follower$`, `/group/is_member$`,
		// portal/controllers/portal_thread.py: comments and ratings below a
		// product or post: read.
		`/mail/(?:chatter_fetch|chatter_init)$`, `/portal/chatter_init$`,
		// mail/controllers/webclient.py, mail_data: it is for reading, and Odoo opens the
		// database for that alone. thread.py and discuss/channel.py: messages, members and
		// files. Odoo 17: mail_init_messaging. They belong to a live chat, and to
		// reviews and comments.
		`/mail/(?:data|thread/messages|init_messaging)$`, `/discuss/channel/(?:messages|members|attachments|pinned_messages)$`,
		// im_livechat/controllers/main.py, Odoo 14 to 17: is an operator there?
		`/im_livechat/init$`,
		// web/controllers/webclient.py and session.py: read.
		`/web/webclient/(?:bootstrap_translations|version_info|translations)$`, `/web/session/get_lang_list$`,
		// bus/controllers: notifications. A first poll leaves a mark in the
		// session that only later polls look at. Odoo 14 and 15: longpolling.
		`/websocket/(?:peek_notifications|update_bus_presence|on_closed)$`, `/bus/has_missed_notifications$`,
		`/longpolling/(?:poll|im_status)$`,
		// website_event: tickets of a slot; website_event_track: a suggestion;
		// website_event_exhibitor: who it is.
		`/event/` + slug + `/registration/slot/[0-9]+/tickets$`, `/event_track/get_track_suggestion$`, `/event/track_tag/search_read$`, `/event_sponsor/[0-9]+/read$`,
		// website_slides/controllers/main.py, get_html_content and slide_quiz_get: what is in a lesson.
		`/slides/slide/(?:get_html_content|quiz/get)$`,
		// website_event in Odoo 14: the events of a country, for a snippet.
		`/event/get_country_event_list$`,
	}
}

// either makes one expression of paths that may have a language before them.
func either(paths []string) string {
	return inLanguage + `(?:` + alternatives(paths) + `)`
}

func alternatives(list []string) string {
	return strings.Join(list, "|")
}

// StatePaths are routes that are known to change what later pages show: a cart, a pricelist, a
// coupon, an address, a wishlist, another website. They are written as SpecialPaths are.
// Signing in is none of them: it gives the visitor another session, of which nothing is known.
func StatePaths() []string {
	return []string{
		// What website_sale/controllers writes to the session (cart.py, main.py, delivery.py, payment.py),
		// website_sale_loyalty, website_sale_wishlist and website_sale_stock.
		`shop/(?:cart/[^/]+|checkout|address|update_address|billing_address|extra_info|payment|confirmation|confirm_order|pricelist|change_pricelist|` +
			`wishlist/[^/]+|claimreward|add|save_shop_layout_mode|set_delivery_method|delivery_methods|express_checkout|express)`,
		`coupon`, `loyalty/[^/]+`, `payment`, `donation`,
		// website_sale_collect and website_sale/controllers/delivery.py: where the visitor fetches what
		// they buy, which products show, too. website_sale/controllers/reorder.py: a cart.
		`shop/set_click_and_collect_location`, `website_sale/set_pickup_location`, `my/orders/reorder`,
		// website_event: events that the visitor takes part in say so, and show all that is not for
		// everybody; website_event_sale and website_event_booth_sale: a cart. website_event_track and
		// website_event_track_quiz: the visitor's own talks, and what they have answered.
		`event/[^/]+/(?:registration|booth)/confirm`, `event/track/toggle_reminder`, `event_track/quiz/[^/]+`,
		// website/controllers/main.py, website_force, and save_session_layout_mode: the form of one list.
		`website/force`, `website/save_session_layout_mode`,
	}
}

// Calls are routes of which the body says what is called, see OnlyReads.
func Calls() []string {
	return []string{`/mail/action$`, `/im_livechat` + chatSession + `$`}
}

// SignsIn reports whether a path is that of a page to sign in.
func SignsIn(path string) bool {
	path = strings.TrimSuffix(path, "/")
	return strings.HasSuffix(path, "/web/login") || strings.HasSuffix(path, "/web/signup")
}

// SignsOut reports whether a path ends the visitor's session and begins a new one
// (web/controllers/session.py, logout).
func SignsOut(path string) bool {
	return strings.TrimSuffix(path, "/") == "/web/session/logout"
}
