package odoo_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

var update = flag.Bool("update", false, "write preset.txt below testdata anew")

const minute = 60 * 1000

func preset(t *testing.T, languages ...string) *config.Settings {
	t.Helper()
	c := option.Default()
	c.Preset, c.Languages = "odoo", languages
	s, err := config.Build(c)
	require.NoError(t, err)
	return s
}

func ruleNamed(t *testing.T, s *config.Settings, name string) *rule.Rule {
	t.Helper()
	for _, r := range s.Rules {
		if r.Name == name {
			return r
		}
	}
	require.Fail(t, "no rule "+name)
	return nil
}

// taken returns the rule that takes a request.
func taken(s *config.Settings, method, target string) *rule.Rule {
	r := httptest.NewRequest(method, target, nil)
	first, _ := rule.First(s.Plan, s.Default, method, "shop.example", r.URL.Path, r)
	return first
}

// decision says in words what a rule makes of a request.
func decision(r *rule.Rule) string {
	switch {
	case r.Bypass && r.KeepsSession:
		return "bypass, session stays default"
	case r.Bypass:
		return "bypass"
	case r.Terms.TTL == policy.Unset:
		return "as Odoo says"
	}
	return fmt.Sprintf("%d min", r.Terms.TTL/minute)
}

// route is one of routes.json, in which test/odoo/19/routes.py writes down
// what a real Odoo offers to visitors.
type route struct {
	Rule    string   `json:"rule"`
	Methods []string `json:"methods"`
	Type    string   `json:"type"`
	Handler string   `json:"handler"`
}

// odooFolders are those of the real Odoos' routes.json, and of preset.txt.
var odooFolders = map[string]string{"Odoo 14": "../../testdata/odoo14/", "Odoo 19": "../../testdata/odoo/"}

func odooRoutes(t *testing.T, folder string) (routes []route, pages []string) {
	t.Helper()
	b, err := os.ReadFile(folder + "routes.json")
	require.NoError(t, err)
	var file struct {
		Routes []route  `json:"routes"`
		Pages  []string `json:"pages"`
	}
	require.NoError(t, json.Unmarshal(b, &file))
	require.Greater(t, len(file.Routes), 150)
	return file.Routes, file.Pages
}

var converter = regexp.MustCompile(`<(?:([a-z]+)(?:\(.*?\))?:)?([a-z_]+)>`)

// example makes a path of a route. What is secret is a plain word: the
// rule must not depend on how a token looks.
func example(routeRule string) string {
	words := map[string]string{
		"unique": "8b9a1f2", "lang": "fr", "filename": "file.bin", "model": "product.template", "id": "7", "field": "image_512", "partner_id": "partner-7", "xmlid": "website.s_banner",
	}
	return converter.ReplaceAllStringFunc(routeRule, func(part string) string {
		m := converter.FindStringSubmatch(part)
		switch {
		case m[1] == "model":
			return "name-7"
		case m[1] == "int":
			return "7"
		case m[1] == "path":
			return "a/b"
		case words[m[2]] != "":
			return words[m[2]]
		}
		return "word"
	})
}

// cachedRoutes are the routes that a rule may cache, by the methods of Odoo that
// answer them. A route is not to be added before its method has been read.
var cachedRoutes = map[string]string{
	"odoo-assets":      "WebsiteBinary.content_assets_website Binary.content_assets WebsiteBinary.content_assets Website.content_assets",
	"odoo-attachments": "Binary.content_image WebsiteBinary.website_content_image WebsiteBinary.content_image",
	"odoo-images":      "Binary.content_image WebsiteBinary.website_content_image WebsiteBinary.content_image",
	"odoo-crawlers":    "Website.robots Website.sitemap_xml_index",
	"odoo-favicon":     "Website.favicon WebsiteBinary.favicon",
	"odoo-manifest":    "WebManifest.webmanifest TrackManifest.webmanifest",
	"odoo-shapes":      "HTML_Editor.shape HTML_Editor.image_shape Web_Editor.shape",
	"odoo-home":        "Website.index",
	"odoo-shop":        "WebsiteSale.shop",
	"odoo-product":     "WebsiteSale.product WebsiteSale.old_product",
	"odoo-search":      "Website.hybrid_list",
	"odoo-blog":        "WebsiteBlog.blog WebsiteBlog.blog_post WebsiteBlog.old_blog_post WebsiteBlog.blog_feed",
	"odoo-events":      "WebsiteEventController.events",
	"odoo-event":       "WebsiteEventController.event WebsiteEventController.event_page",
	"odoo-event-times": "EventTrackController.event_tracks EventTrackController.event_agenda EventTrackController.event_track_page",
	"odoo-forum":       "WebsiteForum.forum WebsiteForum.questions WebsiteForum.question WebsiteForum.old_question WebsiteForum.forum_faq WebsiteForum.forum_faq_karma WebsiteForum.tags",
	"odoo-pages":       "AccountPortal.terms_conditions TermsController.terms_conditions Website.pages_list Website.website_info ModelPageController.generic_model WebsitePartnerPage.partners_detail Website.google_console_search",
}

// TestPresetRoutes shows what the preset makes of each GET route that a real
// Odoo offers to visitors, as it stands in testdata/odoo/preset.txt and
// testdata/odoo14/preset.txt: a new route or a changed rule is a difference
// there. And nothing is cached that is not on the list above.
func TestPresetRoutes(t *testing.T) {
	for name, folder := range odooFolders {
		t.Run(name, func(t *testing.T) { checkRoutes(t, folder) })
	}
}

func checkRoutes(t *testing.T, folder string) {
	s := preset(t)
	routes, pages := odooRoutes(t, folder)
	var lines []string
	seen := map[string]bool{}
	for _, r := range routes {
		if r.Type == "jsonrpc" || seen[r.Rule] { // what several modules extend is listed for each
			continue
		}
		seen[r.Rule] = true
		path := example(r.Rule)
		got := taken(s, http.MethodGet, path)
		lines = append(lines, fmt.Sprintf("%s\n\t%s\n\t%s: %s", r.Rule, path, got.Name, decision(got)))
		if got.Bypass {
			continue
		}
		parts := strings.Split(r.Handler, ".")
		method := strings.Join(parts[len(parts)-2:], ".")
		assert.Contains(t, strings.Fields(cachedRoutes[got.Name]), method, "%s is cached by %s", r.Rule, got.Name)
		for _, prefix := range []string{"/fr", "/fr_BE", "/es_419", "/sr@latin", "/en-gb"} {
			other := taken(s, http.MethodGet, strings.TrimSuffix(prefix+path, "/"))
			if got.Language != nil {
				assert.Equal(t, got.Name, other.Name, "%s%s", prefix, path)
			} else {
				assert.True(t, other.Bypass || other.Name == "odoo-pages", "%s%s: %s", prefix, path, other.Name)
			}
		}
	}
	for _, path := range pages {
		got := taken(s, http.MethodGet, path)
		lines = append(lines, fmt.Sprintf("%s\n\tpage\n\t%s: %s", path, got.Name, decision(got)))
		assert.Contains(t, []string{"odoo-home", "odoo-pages"}, got.Name, path)
	}
	text := strings.Join(lines, "\n") + "\n"
	golden := folder + "preset.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), text, "go test ./cache/odoo -run TestPresetRoutes -update writes %s anew", golden)
}

// TestPresetInEveryLanguage: what bypasses does so whatever stands first for a
// language.
func TestPresetInEveryLanguage(t *testing.T) {
	s := preset(t)
	old, _ := odooRoutes(t, odooFolders["Odoo 14"])
	routes, _ := odooRoutes(t, odooFolders["Odoo 19"])
	for _, r := range append(routes, old...) {
		if !taken(s, http.MethodGet, example(r.Rule)).Bypass || r.Type == "jsonrpc" {
			continue
		}
		for _, prefix := range []string{"/fr", "/fr_BE", "/sr@latin", "/francais"} {
			got := taken(s, http.MethodGet, prefix+example(r.Rule))
			assert.True(t, got.Bypass || r.Rule == "/logo" || r.Rule == "/logo.png", "%s%s is taken by %s", prefix, r.Rule, got.Name)
		}
	}
}

// TestPreset: routes of other modules and versions, and what is none.
func TestPreset(t *testing.T) {
	s := preset(t)
	for _, c := range []struct{ rule, targets string }{
		{"odoo-home", "/ /fr /fr/ /fr_BE /es_419 /sr@latin /en-gb"},
		{"odoo-shop", "/shop /fr/shop /shop/ /shop/page/2 /shop/category/desks-1 /shop/category/desks-1/page/3 /shop?search=lamp /shop?order=name+asc&min_price=5 /shop?tags=sale-3 /en-gb/shop /fr/shop?attribute_value=1-2&page=2 /shop/category/desks-1?attrib=1-2"},
		{"odoo-shop-filter", "/shop?attribute_values=1-2 /fr/shop?page=2&attribute_values=1-2 /shop/category/desks-1?attribute_values=1-2 /shop?%61ttribute_values=1-2"},
		{"odoo-product", "/shop/desk-9 /shop/9 /fr/shop/desks-1/desk-9 /shop/product/desk-9 /shop/desk-9?attribute_values=1 /shop/desk-9?utm_email=a@b.c"},
		{"odoo-search", "/website/search?search=a /website/search/products/page/2"},
		{"odoo-blog", "/blog /blog/page/2 /blog/astronomy-2 /blog/astronomy-2/beyond-the-eye-7 /blog/tag/stars-1 /blog/astronomy-2/tag/stars-1,sky-2/page/2 /blog/astronomy-2/feed /blog/astronomy-2/post/eye-7"},
		{"odoo-events", "/event /events /event/page/2 /events/tags/a-1 /event?date=upcoming"},
		{"odoo-event", "/event/fair-3 /fr/event/fair-3/page/introduction"},
		{"odoo-event-times", "/event/fair-3/agenda /event/fair-3/track /event/fair-3/track/talk-4 /event/fair-3/exhibitors /event/fair-3/exhibitor/acme-5"},
		{"odoo-forum", "/forum /forum/help-1 /forum/help-1/how-to-2 /forum/help-1/question/how-to-2 /forum/help-1/tag/a-1/questions /forum/help-1/page/2 /forum/all"},
		{"odoo-courses", "/slides /slides/all /slides/all/tag/a-1 /slides/page/2"},
		{"odoo-jobs", "/jobs /jobs/page/2 /jobs/developer-3 /jobs/detail/developer-3 /jobs/country/fr-1/department/rd-2"},
		{"odoo-pages", "/contactus /about-us /fr/a-propos /my-landing /partners /partners/acme-7 /customers /customers/country/fr-75 /groups /groups/news-1 /website/info /privacy /terms /mystery /shopping /sale /quote /web.html /certified-9001 /a/b/c"},
		{"odoo-pages", "/contactus?page=2 /about-us?foo=bar /about-us?names=1 /about-us?emails=1 /about-us?ax_b=1 /about-us?utm_name=x /about-us?Debug=1 /about-us?x= /about-us?gclid=Cj0KCQiAabcdefghijklmnopqrstuv12345678"},
		{"odoo-assets", "/web/assets/1/8b9a1f2/web.assets_frontend.min.css /web/assets/8b9a1f2/web.assets_web.min.js /web/assets/1/1234567/web.assets_web.min.js /web/assets/123456a/web.assets_web.min.js"},
		// Odoo 15 and 16 take a number for that of any attachment, whatever else is in the address.
		{"odoo-assets-by-id", "/web/assets/123-8b9a1f2/web.assets_common.min.js /web/assets/123-8b9a1f2/1/web.assets_common.js /web/assets/123-8b9a1f2/1/rtl/web.assets_common.css /web/assets/1234567/web.assets_web.min.js"},
		{"odoo-bundles", "/web/content/638-1bfd234/1/web.assets_frontend.css /web/content/641-913ec03/web.assets_common_lazy.js /web/content/641-913ec03/1/rtl/web.assets_common.css /web/content/7-913ec03/web_editor.assets_wysiwyg.js"},
		{"odoo-static", "/web/static/img/a.png /website_sale/static/src/a.js?v=2"},
		{"odoo-images", "/web/image/product.template/9/image_512 /web/image/product.product/9/image_1024/Desk?unique=8b9a1f2 /website/image/product.template/9/image_512 /web/image/website/1/logo/Shop /web/image/blog.post/3/image /web/image/event.sponsor/3/image_128/100x100"},
		{"odoo-attachments", "/web/image/123-8b9a1f2/a.webp /web/image/website.s_banner /web/image/123 /web/image/website.s_banner/a.jpg /web/image/123/100x100/a.jpg /web/image/website.s_banner/100x100/a.jpg /website/image/website.s_banner/image_512/100x100 /unsplash/AbC123/a.jpg"},
		{"odoo-translations", "/website/translations?hash=a&lang=fr_FR /web/webclient/translations?lang=fr_FR&hash=a /fr/website/translations?hash=a&lang=fr_FR"},
		{"odoo-translations-hashed", "/website/translations/8b9a1f2?lang=fr_FR"},
		{"odoo-crawlers", "/robots.txt /sitemap.xml /sitemap-1-8b9a1f2-2.xml"},
		{"odoo-favicon", "/favicon.ico"},
		{"odoo-manifest", "/web/manifest.webmanifest"},
		{"odoo-shapes", "/html_editor/shape/html_builder/Wavy/01.svg?c1=%23112233 /web_editor/image_shape/website.x/web_editor/a.svg /fr/html_editor/shape/a/b.svg"},

		{"odoo-harmless", "/web/content/7-8b9a1f2/a.js /web/content/7/web.assets_frontend.js /web/content/7-8b9a1f2/web.assets.js/a.pdf /web/content/a-8b9a1f2/web.assets_frontend.js"},
		{"odoo-harmless", "/web/assets/123-8b9a1f2/a.pdf /web/assets/1234567/invoice /web/assets/7/invoice /web/assets/7/8b9a1f2/a/b /web/assets/7-abcdef/x /web/image/res.partner/7/avatar_128 /web/image/res.partner/7-8b9a1f2/avatar_128/a.png /web/image/discuss.channel/7/avatar_128 /website/image/res.users/7/image_512 /website/image/res.users/7/image_512/100x100"},
		{"odoo-harmless", "/websocket /website/translations /website/translations?lang=fr_FR /website/translations?hash=a /web/content/7 /web/content/7-8b9a1f2/a.pdf /web/assets/1/any/a.css /web/assets/debug/a.css /web/image /web/partner_image/7"},
		{"odoo-harmless", "/website/lang/fr /website/lang/en?r=/shop /r/abc /r/abc/m/7 /logo.png /report/barcode/QR/x /web/webclient/translations/8b9a1f2 /shop/desk-9/document/3 /event/fair-3/ics /event/fair-3/register /fr/event/fair-3/register"},
		{"odoo-harmless", "/slides/course-3 /fr/slides/course-3 /slides/3 /slides/course-3/category/4 /slides/course-3/tag/a-1/page/2 /slides/course-3/page/2 /slides/slide/intro-4 /slides/slide/intro-4?fullscreen=1 /slides/slide/4/get_image?field=image_512 /slides/slide/intro-4/pdf_content"},

		{"odoo-personal", "/web /web/session/logout /web/database/manager /odoo /odoo/action-5 /web/dataset/call_kw /@/shop"},
		{"odoo-personal", "/fr/my/orders/7 /francais/my/orders /my/orders/7?x=1 /my/tasks/3 /quote/7/word /sign/document/7/word /helpdesk/ticket/7/word /documents/share/7/word /knowledge/article/3 /appointment/1"},
		{"odoo-personal", "/francais/shop/cart /shop/print /shop/terms /shop/tracking_last_order /gmc.xml /francais/shop/wishlist"},
		{"odoo-state", "/shop/cart/add /fr/shop/cart/update /francais/shop/cart/clear /shop/checkout /shop/address /shop/payment /shop/payment/validate /shop/confirmation /shop/confirm_order /shop/pricelist /shop/change_pricelist/gold-3 /shop/wishlist/add/7"},
		{"odoo-state", "/coupon/word /payment/pay /payment/status /payment/stripe/return /donation/pay /website/force/2"},
		{"odoo-harmless", "/web/login /fr_BE/web/login /web/signup /web/reset_password /my /my/home /shop/cart /shop/cart/ /fr/shop/cart /shop/wishlist /shop/compare"},
		{"odoo-personal", "/mail/view /mail/unfollow /mailing/7/unsubscribe /mailing/7/view /unsubscribe_from_list /digest/7/unsubscribe /chat/word /meet/word /calendar/meeting/accept /calendar/join_videocall/word /group/unsubscribe-confirm /im_livechat/support/1"},
		{"odoo-personal", "/survey/start/word /s/word /rate/word/5 /websocket/x /longpolling/poll /bus/websocket_worker /xmlrpc/2/common /json/2/x /jsonrpc /doc /auth_oauth/signin /auth_totp/x /pos-self/1 /pos_self_order/x"},
		{"odoo-personal", "/website/form/mail.mail /website/action/x /website/iframefallback /website_mass_mailing/subscribe /profile/user/7 /profile/users /profile/avatar/7"},
		{"odoo-personal", "/event/fair-3/registration/success /event/fair-3/booth /event/7/my_tickets /slides/3/invite /slides/slide/intro-4/set_completed /slides/slide/4/share /francais/slides/slide/intro-4 /slides/embed/4 /jobs/apply/developer-3 /forum/help-1/ask /forum/help-1/post/7/edit /forum/user/7 /forum/help-1/validation_queue"},
		{"odoo-unknown", "/shop/word /shop/desk-9/word /blog/word/x/y /slides/word /slides/course-3/word /francais/slides/course-3 /event/fair-3/community /event/fair-3/community/leaderboard /forum/help-1/closed /jobs/word/x"},

		{"odoo-state-params", "/?debug=1 /shop?debug /shop/desk-9?pricelist=3 /members?visibility_password=x /?db=x /?session_id=x /?fw=2 /web/static/a.js?debug=1 /web/login?debug=1 /shop?%64ebug=1 /shop?a=1&&de%62ug=assets"},
		{"odoo-session-params", "/?affiliate_id=3 /a?token=x /?auth_login=bob /a?editable=1 /a?enable_editor=1 /?pid=7&hash=x"},
		{"odoo-files-by-token", "/web/image/7?access_token=x /web/content/7?access_token=x /web/image/res.partner/7/avatar_128?access_token=x&unique=1 /website/image/7?access_token=x"},
		{"odoo-access-token", "/?access_token=x /web/login?access_token=x /shop/cart?access_token=x /web/imaged?access_token=x"},
		{"odoo-session-params", "/web/image/7?access_token=x&affiliate_id=3 /?preview_mode=1 /x?oauth_code=1"},
		{"odoo-personal-params", "/contactus?name=Bob /contactus?email=x /contactus?e%6dail=x /a?utm_source=x&email_from=b /shop?x_studio_a=1 /shop?phone=1 /contactus?partner_phone=1 /contactus?x_birth=1 /contactus?Email=x /contactus?E%4dAIL=x /contactus?Partner_Name=x /contactus?work_email=x /contactus?email[]=x /contactus?a[email]=x /contactus?a%5Bemail%5D=x /contactus?user.email=x /contactus?customer-email=x /contactus?e_mail=x /contactus?mailto=x /contactus?first-name=x /contactus?firstName=x /contactus?phonenumber=1 /contactus?lname=x /contactus?page=2&userEmail=x /contactus?sso_ticket=AbCdEfGhIjKlMnOpQrStUv /contactus?magicKey=Xy12-Ab_Q9zW8vU7-tS6rQ /?loginHash=da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{"odoo-personal-values", "/about-us?who=bob@example.com /about-us?who=bob%40example.com /a?k=3f2504e0-4f89-11d3-9a0c-0305e82c3301 /a?k=AbCdEfGhIjKlMnOpQrStUv /contactus?john.doe@example.com /contactus?john.doe%40example.com=1 /contactus?3f2504e0-4f89-11d3-9a0c-0305e82c3301 /contactus?abcdefghijklmnopqrstuvwxyz0123456789 /?tblc=GiBqVyN0aGlzIGlzIGEgdG9rZW4 /shop?cl=1&ad=Xy12-Ab_Q9zW8vU7-tS6rQ /?sid=12345678901234567890"},
		{"odoo-pages", "/datenschutzerklaerung /fr/datenschutzerklaerung /return /fr/return /fr_BE/return/ /download /Katalog2024 /COVID-19 /iPhone15Pro /ISO27001 /contactus?topic=donaudampfschifffahrts /contactus?key=datenschutzerklaerung /return?utm_source=x /contactus?title=customizable-desk-with-a-lamp"},
		{"odoo-shop", "/shop?search=donaudampfschifffahrts /shop?search=verantwoordelijkheidsgevoel"},
		{"odoo-actions", "/return?id=7 /fr/unsubscribe?list=3 /download?utm_source=x&file=3"},

		{"odoo-tokens", "/ticket/3f2504e0-4f89-11d3-9a0c-0305e82c3301 /a/b/da39a3ee5e6b4b0d3255bfef95601890afd80709 /a/aZ09-_x /a/9cdfb439c7876e70 /x/Xy12AbQ9 /optout/bob@example.com /fr/newsletter/confirm /a/unsubscribe /quotation/7/accept /orders/7 /fr/rma/ticket/7 /rma/return /return/7 /logout /fr/signout /S00042 /KD0012345"},
	} {
		for _, target := range strings.Fields(c.targets) {
			assert.Equal(t, c.rule, taken(s, http.MethodGet, target).Name, target)
		}
	}
}

// TestPresetNoise: what networks follow their clicks by takes no part in a page, nor does what an
// operator adds; what Odoo reads is never left out.
func TestPresetNoise(t *testing.T) {
	s := preset(t)
	const id = "=Xy12-Ab_Q9zW8vU7-tS6rQ5pO4nM3"
	for _, name := range []string{
		"tblci", "dicbo", "cjevent", "awc", "ef_id", "s_kwcid", "tduid", "sscid", "irclickid", "auctid", "gclid", "fbclid", "msclkid", "elqTrackId", "_z1_msid", "WT.mc_id", "mindbox-click-id",
	} {
		for _, target := range []string{"/", "/shop", "/shop/desk-9", "/blog", "/about-us", "/fr/return"} {
			got := taken(s, http.MethodGet, target+"?"+name+id)
			assert.Equal(t, taken(s, http.MethodGet, target).Name, got.Name, "%s?%s", target, name)
			normal, forward, _ := keys.Query(name+id, false, got.Keep, got.Ignore, 64)
			assert.Empty(t, normal+forward, "%s?%s", target, name)
		}
	}
	noise := keys.NewNames(odoo.Noise())
	for _, name := range append(append(odoo.StateParams(), odoo.SessionParams()...), odoo.PageParams()...) {
		assert.False(t, noise.Has(name), name)
	}
	seen := map[string]bool{}
	for _, name := range odoo.Noise() {
		assert.False(t, seen[name], "%s is listed twice", name)
		seen[name] = true
	}
}

// TestPresetPosts: which requests other than GET leave a default session one.
func TestPresetPosts(t *testing.T) {
	s := preset(t)
	for _, path := range []string{
		"/shop/products/recently_viewed_update", "/fr/shop/products/recently_viewed_update", "/website_sale/get_combination_info", "/sale/get_combination_info_website",
		"/website/snippet/filters", "/website/snippet/autocomplete", "/shop/cart/quantity", "/shop/wishlist/get_product_ids", "/website_mass_mailing/is_subscriber",
		"/portal/chatter_init", "/mail/chatter_fetch", "/mail/data", "/im_livechat/init", "/discuss/channel/messages", "/slides/slide/quiz/get", "/slides/slide/get_html_content", "/longpolling/poll", "/web/webclient/version_info",
	} {
		r := taken(s, http.MethodPost, path)
		assert.Equal(t, "odoo-harmless-posts", r.Name, path)
		assert.True(t, r.KeepsSession && r.Bypass, path)
		assert.NotEqual(t, r, taken(s, http.MethodPost, path+"?debug=1"), path)
		assert.NotEqual(t, r, taken(s, http.MethodPost, path+"/x"), path)
		assert.NotEqual(t, r, taken(s, http.MethodPut, path), path)
	}
	for _, path := range []string{
		"/", "/shop", "/contactus", "/members", "/web/login", "/fr/web/login", "/web/signup", "/shop/cart", "/shop/cart/add", "/shop/cart/update_json", "/shop/wishlist/add",
		"/shop/save_shop_layout_mode", "/website/save_session_layout_mode", "/website/form/mail.mail", "/website_mass_mailing/subscribe", "/web/session/authenticate",
		"/shop/add/stock_notification", "/slides/slide/quiz/save_to_session", "/event/fair-3/registration/confirm", "/web/image/product.template/9/image_512",
		"/web/content/7", "/website/lang/fr", "/r/abc", "/robots.txt", "/favicon.ico", "/jsonrpc", "/mystery",
	} {
		assert.False(t, taken(s, http.MethodPost, path).KeepsSession, path)
	}
	// Bundles and static files do not depend on the session: nor can it depend on them.
	assert.False(t, taken(s, http.MethodPost, "/web/static/x.js").KeepsSession)

	for _, r := range s.Rules {
		if r.KeepsSession && !r.Terms.AnySession && !r.Bypass {
			assert.Contains(t, odoo.EvidenceGroups, r.Name, "a page of which the routes are known")
			assert.NotEqual(t, "odoo-pages", r.Name, "a page of any module")
		}
		assert.Equal(t, strings.Contains(" odoo-shop-filter odoo-state odoo-state-params ", " "+r.Name+" "), r.MarksSession, r.Name)
		assert.Equal(t, r.Name == "odoo-personal-values", r.AnswerTells, r.Name)
	}
}

// TestPresetOfAll: what holds for all rules that cache.
func TestPresetOfAll(t *testing.T) {
	s := preset(t)
	files := " odoo-assets odoo-assets-by-id odoo-bundles odoo-static odoo-images odoo-attachments odoo-translations-hashed odoo-crawlers odoo-favicon odoo-manifest "
	for _, r := range s.Rules {
		if r.Bypass {
			assert.NotEqual(t, int64(0), r.Terms.TTL, r.Name)
			continue
		}
		file := strings.Contains(files, " "+r.Name+" ")
		if r.Name == "odoo-translations" {
			continue // see TestPresetTranslations
		}
		assert.Equal(t, []string{"GET"}, r.Match.Methods, r.Name)
		assert.Contains(t, r.Terms.DropCookies, "session_id", r.Name)
		assert.Equal(t, file, hasString(r.Terms.DropCookies, "frontend_lang"), r.Name)
		assert.Equal(t, !file, hasString(r.Terms.KeepCookies, "frontend_lang"), r.Name)
		assert.Equal(t, !file, r.Language != nil, r.Name)
		assert.NotContains(t, r.Terms.Statuses, 303, r.Name)
		assert.Contains(t, r.Terms.Statuses, 200, r.Name)
		assert.Equal(t, int64(24*60*minute), r.Terms.StaleIfError, r.Name)
		assert.False(t, r.Terms.Override.NoStore, r.Name)
		assert.Equal(t, r.Name == "odoo-images", r.Terms.Override.Private, r.Name)
		assert.Equal(t, r.Name == "odoo-assets" || r.Name == "odoo-static", r.Terms.AnySession, r.Name)
		if !file {
			assert.True(t, r.Ignore.Has("utm_source") && r.Ignore.Has("gclid"), r.Name)
			assert.LessOrEqual(t, r.Terms.TTL, int64(15*minute), r.Name)
			assert.Equal(t, int64(60*minute), r.Terms.Grace, r.Name)
		}
	}
	for _, name := range []string{"odoo-home", "odoo-shop", "odoo-shop-filter", "odoo-product", "odoo-search", "odoo-event", "odoo-events"} {
		assert.Equal(t, int64(5*minute), ruleNamed(t, s, name).Terms.TTL, "%s shows prices", name)
	}
	assert.Equal(t, []string{"forum_welcome_message"}, ruleNamed(t, s, "odoo-forum").Cookies)
	assert.Equal(t, []string{"tz"}, ruleNamed(t, s, "odoo-event-times").Cookies)
}

// TestPresetTranslations: browsers ask for them past their own caches at each page view; in
// another language than the site's, by way of a redirect. They are hits, for an hour.
func TestPresetTranslations(t *testing.T) {
	s := preset(t, "en_US", "fr_FR")
	for _, target := range []string{"/website/translations?hash=0a&lang=fr_FR", "/fr/website/translations?hash=0a&lang=fr_FR", "/web/webclient/translations?hash=0a&lang=en_US"} {
		r := taken(s, http.MethodGet, target)
		require.Equal(t, "odoo-translations", r.Name)
		assert.False(t, r.ClientDirectives)
		assert.True(t, r.Terms.AnySession)
		assert.NotNil(t, r.Language)
		assert.Subset(t, r.Terms.Statuses, []int{200, 303})
		assert.Equal(t, []int64{60 * minute, 60 * minute}, []int64{r.Terms.TTL, r.Terms.Grace})
	}
}

func hasString(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

// TestPresetLanguages: the key holds the language that Odoo would pick where it
// could be more than one.
func TestPresetLanguages(t *testing.T) {
	request := func(lines ...string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/shop", nil)
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Set(name, value)
		}
		return r
	}
	english := request("Accept-Language: en-US,en;q=0.9")
	german := request("Accept-Language: de-DE,de;q=0.9")
	french := request("Accept-Language: fr-CA,fr;q=0.5")
	cookie := request("Accept-Language: en-US,en;q=0.9", "Cookie: frontend_lang=fr_FR")
	bot := request("Accept-Language: fr-CA,fr;q=0.5", "User-Agent: Googlebot/2.1")

	known := ruleNamed(t, preset(t, "en_US", "fr_FR"), "odoo-pages")
	assert.Equal(t, parts(known, english), parts(known, request()), "who asks for none asks for English")
	assert.NotEqual(t, parts(known, english), parts(known, german), "who gets the website's own language")
	assert.NotEqual(t, parts(known, english), parts(known, french))
	assert.Equal(t, parts(known, french), parts(known, cookie))
	assert.NotEqual(t, parts(known, french), parts(known, bot))

	unknown := ruleNamed(t, preset(t), "odoo-pages")
	seen := map[string]bool{}
	for _, r := range []*http.Request{request(), english, german, french, cookie, bot} {
		seen[strings.Join(parts(unknown, r), "\n")] = true
	}
	assert.Len(t, seen, 5)
	assert.Equal(t, parts(unknown, english), parts(unknown, request()), "who asks for none asks for English")
	assert.Equal(t, parts(unknown, english), parts(unknown, request("Cookie: frontend_lang=en_US")), "before and after Odoo has set the cookie")
	assert.Equal(t, parts(unknown, english), parts(unknown, request("Accept-Language: en-US,de;q=0.7")), "only what is liked best counts")
	assert.Equal(t, parts(unknown, cookie), parts(unknown, request("Cookie: frontend_lang=fr_FR")), "the cookie alone counts")

	for _, r := range preset(t, "en_US").Rules {
		assert.Nil(t, r.Language, "%s: with one language nobody is sent elsewhere", r.Name)
	}
}

// parts are the dimensions of a request.
func parts(r *rule.Rule, req *http.Request) []string {
	list, _ := r.Dimensions(req)
	return list
}

// TestPresetFilesIgnoreTheirQuery: what reads no parameter has one entry however
// many queries are invented.
func TestPresetFilesIgnoreTheirQuery(t *testing.T) {
	s := preset(t)
	for _, target := range []string{"/web/static/a.js?v=1", "/web/static/a.js?x=1&y=2", "/robots.txt?x=1", "/sitemap.xml?x", "/favicon.ico?x=1", "/web/manifest.webmanifest?x=1"} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		took := taken(s, http.MethodGet, target)
		require.False(t, took.Bypass, target)
		normal, forward, more := keys.Query(r.URL.RawQuery, false, took.Keep, took.Ignore, 64)
		assert.Equal(t, []string{"", ""}, []string{normal, forward}, target)
		assert.False(t, more)
	}
}

// TestPresetKeepsLargeSitemaps: one with 50,000 addresses has some megabytes.
func TestPresetKeepsLargeSitemaps(t *testing.T) {
	assert.Equal(t, int64(16<<20), taken(preset(t), http.MethodGet, "/sitemap.xml").MaxBody)
}

// TestPresetIgnoresSessionsOnlyOfRoutesWithoutRights: Odoo's routes behind these rules
// cannot give what depends on who asks.
func TestPresetIgnoresSessionsOnlyOfRoutesWithoutRights(t *testing.T) {
	for _, r := range preset(t).Rules {
		if r.Terms.AnySession {
			assert.Contains(t, []string{"odoo-assets", "odoo-static", "odoo-translations"}, r.Name)
		}
	}
	for _, path := range []string{"/web/assets/7/x", "/web/assets/1234567/x", "/web/assets/7-abcdef/x", "/web/assets/7-abcdef/a.b.js", "/web/assets/7-abcdef/1/a.b.js", "/web/assets/7/abcdef/", "/web/content/7-abcdef/a.b.js", "/web/image/7-abcdef/x"} {
		assert.False(t, taken(preset(t), http.MethodGet, path).Terms.AnySession, "%s: any attachment, in Odoo 14 to 16", path)
	}
}
