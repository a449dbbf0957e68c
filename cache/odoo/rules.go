package odoo

import "github.com/odoocache/odoocache/cache/option"

// Preset odoo: rules for a standard site of Odoo 14 to 19. The first that takes
// a request counts, so their order is what they mean:
//
//  1. parameters that write to the session or open what is not public: bypass;
//  2. routes that change nothing: sessions stay as they are;
//  3. files: bundles, static files, images, robots.txt;
//  4. routes that belong to one visitor, or do something: bypass;
//  5. parameters that hold personal data or tokens: bypass;
//  6. pages of Odoo's modules, by their routes;
//  7. the rest of these modules, and paths that are personal: bypass;
//  8. any other page, for website.page has free paths.
//
// A bypass puts the visitor's session in doubt: afterwards its pages come from Odoo until one
// has shown that it is nobody's. Where a rule says session: mark, what pages show was found to
// change, and no page can show otherwise. Where it says session: keep, the request was found to
// leave alone what pages show. This is said of the pages that the lists name, too: their routes
// send a visitor on, but change nothing. Where it says answer, Odoo's answer tells.
//
// What stands between step 8 and a custom module's personal page: it is cached
// only for visitors whose session is a default one, so it can show no more than
// its address gives away (steps 1, 5 and 7), only with status 200, only without
// private, no-store or a foreign cookie, and only without signs of a visitor in
// the body. A module that keeps what a visitor chose in the session and
// changes it by a GET of its own needs a rule: bypass.
//
// The files and methods that comments name are those of Odoo 19, below
// odoo/addons if nothing else is said; what older versions have on top is in the
// lists, too.

// How long pages live is said by options, see option.Default. Without the addon nothing tells
// of a change, so these are how late a change shows: a visitor may see what was true a
// lifetime ago, and the first one after a lifetime of silence what was true within the grace.
const (
	longGrace    = "24h" // of files
	textGrace    = "1h"  // of texts of scripts, which browsers ask for with no-store
	staleIfError = "24h"
)

// Rules are the rules of preset odoo. languages are the codes of all
// languages of all websites, empty if they are not known. country is the request field that
// names the visitor's country, empty if there is none. own extends them; it has been checked.
func Rules(languages []string, country string, own option.Odoo) []option.Rule {
	noise := append(Noise(), own.IgnoreQuery...)
	rules := []option.Rule{
		{
			// See StateParams.
			Name:    "odoo-state-params",
			Match:   option.Match{AnyQuery: anyOf(StateParams())},
			Bypass:  "true",
			Session: "mark",
		},
		{
			// See SessionParams. These stand first because Odoo reads debug,
			// affiliate_id and auth_login on any route, images and JSON included
			// (ir_http._pre_dispatch of web, website_sale, auth_signup).
			Name:   "odoo-session-params",
			Match:  option.Match{AnyQuery: anyOf(SessionParams())},
			Bypass: "true",
		},
		{
			// Files that a token opens, such as the faces of those who answer a live chat or
			// have written a review (mail/models/res_partner.py, _get_avatar_128_access_token): the
			// routes of harmless GETs, for one visitor each.
			Name:    "odoo-files-by-token",
			Match:   option.Match{Methods: []string{"GET"}, PathRegexp: `^/(?:web|website)/(?:image|content)(?:/|$)`, AnyQuery: anyOf([]string{AccessToken})},
			Bypass:  "true",
			Session: "keep",
		},
		{
			// All else that a token opens.
			Name:   "odoo-access-token",
			Match:  option.Match{AnyQuery: anyOf([]string{AccessToken})},
			Bypass: "true",
		},
	}
	rules = append(rules, ownPaths(own)...)
	rules = append(rules,
		option.Rule{
			// Posts that change nothing of a session.
			Name:    "odoo-harmless-posts",
			Match:   option.Match{Methods: []string{"POST"}, PathRegexp: either(HarmlessPosts())},
			Bypass:  "true",
			Session: "keep",
		},
		option.Rule{
			// Posts whose body says whether they change something, see OnlyReads.
			Name:    "odoo-calls",
			Match:   option.Match{Methods: []string{"POST"}, PathRegexp: either(Calls())},
			Bypass:  "true",
			Session: "reads",
		},
	)
	rules = append(rules, fileRules(languages, noise, own.TTL)...)
	rules = append(rules,
		option.Rule{
			// Pages that are not stored, and change nothing of a session.
			Name:    "odoo-harmless",
			Match:   option.Match{Methods: []string{"GET"}, PathRegexp: either(HarmlessGets())},
			Bypass:  "true",
			Session: "keep",
		},
		option.Rule{
			// What is known to change pages: see StatePaths.
			Name:    "odoo-state",
			Match:   option.Match{PathRegexp: inAnyLanguage + `/(?:` + alternatives(StatePaths()) + `)(?:/|$)`},
			Bypass:  "true",
			Session: "mark",
		},
		option.Rule{
			// What belongs to one visitor, or does something: see SpecialPaths.
			Name:   "odoo-personal",
			Match:  option.Match{PathRegexp: inAnyLanguage + `/(?:` + alternatives(SpecialPaths()) + `)(?:/|$)`},
			Bypass: "true",
		},
		option.Rule{
			// Parameters that are for one visitor, see personalNames and credentialNames. Those that are left
			// out anyway do not count: click ids look like tokens.
			Name:   "odoo-personal-params",
			Match:  option.Match{Methods: []string{"GET"}, AnyQuery: personalParams(), AnyQueryWords: "true"},
			Query:  option.Query{Ignore: noise},
			Bypass: "true",
		},
		option.Rule{
			// Other parameters whose value or name is for one visitor. They are not to be kept, but most
			// are what a network that nobody knows follows its clicks by: they change no session. If
			// one does, by signing in or by noting something and going elsewhere, the answer shows it.
			Name:    "odoo-personal-values",
			Match:   option.Match{Methods: []string{"GET"}, AnyQuery: personalValues(), AnyQueryWords: "true"},
			Query:   option.Query{Ignore: noise},
			Bypass:  "true",
			Session: "answer",
		},
	)
	as := pageTerms{grace: own.Grace, languages: languages, noise: noise}
	rules = append(rules, pageRules(as, own.TTL)...)
	rules = append(rules,
		option.Rule{
			// What is left of modules that are named above: forms, votes, quizzes,
			// tickets, registrations, and whatever a later version adds.
			Name:   "odoo-unknown",
			Match:  option.Match{PathRegexp: inAnyLanguage + `/(?:shop|blog|events?|forum|slides|jobs|profile)(?:/|$)`},
			Bypass: "true",
		},
		option.Rule{
			// What is done by a word to what a parameter names: /unsubscribe?id=7.
			Name:   "odoo-actions",
			Match:  option.Match{PathRegexp: namesNothing, AnyQuery: map[string]interface{}{"*": ""}},
			Query:  option.Query{Ignore: noise},
			Bypass: "true",
		},
		option.Rule{
			// A token in the path opens what is somebody's.
			Name:   "odoo-tokens",
			Match:  option.Match{PathRegexp: MayBePersonalPath},
			Bypass: "true",
		},
		// Pages made in the editor have free paths (website, ir_http._serve_page),
		// and many a small module has pages of its own: /terms, /partners,
		// /customers, /groups, /pages, /model/….
		page("odoo-pages", "", own.TTL.Pages, as),
	)
	if country != "" {
		for i := 0; i < len(rules); i++ {
			if len(rules[i].Cookies.Keep) > 0 { // a page
				rules[i].Vary.Headers = []string{country}
			}
		}
	}
	return rules
}

// fileRules take what is no page. Nearly all vary by no language: Odoo answers these
// routes in none, or in the one that the address names.
func fileRules(languages, noise []string, ttl option.OdooTTL) []option.Rule {
	cookies := option.Cookies{Drop: []string{SessionCookie, LanguageCookie}}
	get := []string{"GET"}
	return []option.Rule{
		{
			// Compiled bundles whose address has a hash of their content:
			// /web/assets/1/8b9a1f2/web.assets_frontend.min.css (web/controllers/
			// binary.py, content_assets). Odoo sets a session cookie on them all the
			// same. A hash that is not the current one is answered by 303, which is
			// not stored; "any" and "debug" stand for no content in particular, but
			// are called immutable like the others: they are not taken here. Nor is
			// what Odoo 15 and 16 may take for the number of an attachment.
			Name:         "odoo-assets",
			Match:        option.Match{PathRegexp: `^/web/assets/(?:[0-9]+/[0-9a-f]{6,}|[0-9a-f]*[a-f][0-9a-f]*)/[^/]+$`, Methods: get},
			Session:      "ignore",
			StaleIfError: staleIfError,
			Status:       []string{"200"},
			Cookies:      cookies,
			MaxBody:      "16MiB",
		},
		// The same in Odoo 15 and 16: /web/assets/123-8b9a1f2/1/web.assets_common.min.js,
		// and in Odoo 14: /web/content/638-1bfd234/1/web.assets_frontend.css
		// (base/models/assetsbundle.py, get_asset_url). These routes give any
		// attachment by its number, whatever hash and name are asked for, to whom
		// may see it; so only visitors without rights of their own are answered from
		// the cache, and fill it. Digits alone are a number there, and a hash from
		// Odoo 17 on.
		bundles("odoo-assets-by-id", `^/web/assets/(?:[0-9]+-[0-9a-f]{6,}|[0-9]{6,})/`, cookies, ttl.Files),
		bundles("odoo-bundles", `^/web/content/[0-9]+-[0-9a-f]{6,}/`, cookies, ttl.Files),
		{
			// Files of modules: /web/static, /website/static (odoo/http.py,
			// Application.get_static_file). Odoo gives them a week, whatever the query.
			Name:         "odoo-static",
			Match:        option.Match{PathRegexp: `^/[a-z0-9_]+/static/`, Methods: get},
			Query:        option.Query{Ignore: everything},
			Session:      "ignore",
			StaleIfError: staleIfError,
			Status:       []string{"200"},
			Cookies:      cookies,
		},
		{
			// Images of what a website shows (web/controllers/binary.py,
			// content_image; website/controllers/main.py,
			// website_content_image). Odoo calls them private, and no-cache
			// without a hash, since it depends on rights who sees which; but
			// visitors have all the same rights. Whoever has more, or a chat
			// guest, has a special session. Other models, and images with a token,
			// are not taken here: a partner's picture may be for a chat guest alone.
			// An image that visitors may not see is answered by a placeholder; the
			// lifetime is how long that stays after the record is published.
			Name: "odoo-images",
			Match: option.Match{
				PathRegexp: `^/(?:web|website)/image/(?:` + alternatives(pictured) + `)/[0-9]+(?:-[^/]*)?/[a-z0-9_]+(?:/|$)`,
				Methods:    get,
			},
			TTL: ttl.Images, Grace: longGrace, StaleIfError: staleIfError,
			Override: []string{"private", "no-cache"},
			Status:   []string{"200"},
			Query:    option.Query{Ignore: noise},
			Cookies:  cookies,
		},
		{
			// Attachments, which the editor puts into pages:
			// /web/image/123-8b9a1f2/name.webp, /web/image/website.s_banner. Since the
			// middle of 2024 Odoo 17 and later say of each if it is public (odoo/http.py,
			// Stream.get_response), and of those that have a hash that they are
			// immutable; but whether they are public can change. Before, Odoo 16 calls
			// all with a hash public. Images of records are not taken here: those of
			// models that are not in pictured go past the cache.
			Name:  "odoo-attachments",
			Match: option.Match{PathRegexp: `^/(?:(?:web|website)/image/(?:[0-9]+(?:-[^/]*)?|[A-Za-z0-9_]+\.[A-Za-z0-9_.-]+)(?:(?:/[0-9]+x[0-9]+)?(?:/[^/]+)?|/[a-z][a-z0-9_]*/[0-9]+x[0-9]+)$|unsplash/)`, Methods: get},
			TTL:   ttl.Files, Grace: longGrace, StaleIfError: staleIfError,
			Status:  []string{"200"},
			Query:   option.Query{Ignore: noise},
			Cookies: cookies,
		},
		{
			// Texts of scripts. With the language and a hash in the address they
			// depend on nothing else (web/controllers/webclient.py, translations;
			// http_routing/controllers/main.py, get_website_translations); without,
			// on the language cookie. What /website has Odoo redirects by language,
			// but only to the same with a language before it: so the language is in the key.
			// Odoo 19 asks with Cache-Control: no-cache at each page view
			// (web/static/src/core/l10n/localization_service.js), though the hash is of what
			// was there when the page was made: so these are younger than other files.
			Name:  "odoo-translations",
			Match: option.Match{PathRegexp: inLanguage + `/(?:website|web/webclient)/translations$`, Query: map[string]interface{}{"lang": ".", "hash": "."}, Methods: get},
			TTL:   ttl.Texts, Grace: textGrace, StaleIfError: staleIfError,
			Session:           "ignore",
			RequestDirectives: "ignore",
			Status:            []string{"200", "302", "303"},
			Cookies:           option.Cookies{Drop: []string{SessionCookie, VisitorCookie}, Keep: []string{LanguageCookie}},
			Vary:              languagesOf(languages),
		},
		{
			// The same in older versions, with the hash in the path.
			Name:  "odoo-translations-hashed",
			Match: option.Match{PathRegexp: inLanguage + `/(?:website|web/webclient)/translations/[^/]+$`, Query: map[string]interface{}{"lang": "."}, Methods: get},
			TTL:   ttl.Files, Grace: longGrace, StaleIfError: staleIfError,
			Status:  []string{"200"},
			Cookies: cookies,
		},
		{
			// For crawlers (website/controllers/main.py, robots,
			// sitemap_xml_index: Odoo itself keeps the sitemap for 12 hours). Parts
			// of a large sitemap are attachments with these names. Scheme and host
			// are in them, and in the key; the query is not. One of 50,000 addresses
			// has some megabytes.
			Name:  "odoo-crawlers",
			Match: option.Match{PathRegexp: `^/(?:robots\.txt|sitemap[0-9A-Za-z-]*\.xml)$`, Methods: get},
			TTL:   ttl.Texts, Grace: longGrace, StaleIfError: staleIfError,
			Status:  []string{"200"},
			Query:   option.Query{Ignore: everything},
			Cookies: cookies,
			MaxBody: "16MiB",
		},
		{
			// The redirect to the website's icon (website/controllers/main.py,
			// favicon), for which Odoo allows a year.
			Name:  "odoo-favicon",
			Match: option.Match{PathRegexp: `^/favicon\.ico$`, Methods: get},
			TTL:   ttl.Texts, Grace: longGrace, StaleIfError: staleIfError,
			Status:  []string{"200", "301"},
			Query:   option.Query{Ignore: everything},
			Cookies: cookies,
		},
		{
			// What browsers ask when a site is installed (web/controllers/
			// webmanifest.py, webmanifest: shortcuts are for users who sign in;
			// website_event_track/controllers/webmanifest.py).
			Name:  "odoo-manifest",
			Match: option.Match{PathRegexp: `^/(?:web|event|website)/manifest\.webmanifest$`, Methods: get},
			TTL:   ttl.Files, Grace: longGrace, StaleIfError: staleIfError,
			Status:  []string{"200"},
			Query:   option.Query{Ignore: everything},
			Cookies: cookies,
		},
	}
}

// everything is for routes that read no parameter: one entry serves whatever query.
var everything = []string{"*"}

// bundles makes a rule for bundles that Odoo finds by their number as attachments.
func bundles(name, path string, cookies option.Cookies, ttl string) option.Rule {
	return option.Rule{
		Name:  name,
		Match: option.Match{PathRegexp: path + `(?:[0-9a-z_-]+/){0,3}[0-9a-z_]+\.[0-9a-z_.]+\.(?:css|js)$`, Methods: []string{"GET"}},
		TTL:   ttl, Grace: longGrace, StaleIfError: staleIfError,
		Status:  []string{"200"},
		Cookies: cookies,
		MaxBody: "16MiB",
	}
}

// pictured are the models whose images website pages show.
var pictured = []string{
	`website`, `product\.[a-z.]+`, `blog\.(?:blog|post|tag)`, `event\.(?:event|sponsor|track|booth|booth\.category|tag)`,
	`forum\.forum`, `slide\.(?:channel|slide)`, `hr\.job`, `payment\.(?:method|provider)`, `gamification\.(?:badge|karma\.rank)`,
	`loyalty\.(?:program|reward)`, `delivery\.carrier`, `mail\.group`, `im_livechat\.channel`,
}

// pageRules take the pages of Odoo's own modules.
func pageRules(as pageTerms, ttl option.OdooTTL) []option.Rule {
	return []option.Rule{
		// website/controllers/main.py, index. It may show products with prices.
		page("odoo-home", `/?$`, ttl.Home, as),
		// website_sale/controllers/main.py, shop, with a filter: it stays in the
		// session, and product pages link back with it. Whoever gets the list from
		// the cache has no filter noted.
		marking(page("odoo-shop-filter", `/shop(?:/category/`+slug+`)?(?:/page/[0-9]+)?/?$`, ttl.Lists, as), filterParams()),
		// website_sale/controllers/main.py, shop: the list, a category, a search.
		page("odoo-shop", `/shop(?:/category/`+slug+`)?(?:/page/[0-9]+)?/?$`, ttl.Lists, as),
		// website_sale/controllers/main.py, product and old_product.
		page("odoo-product", `/shop/(?:`+slug+`/|product/)?`+slug+`/?$`, ttl.Products, as),
		// website/controllers/main.py, hybrid_list.
		page("odoo-search", `/website/search(?:/[a-z_]+)?(?:/page/[0-9]+)?/?$`, ttl.Lists, as),
		// website_blog/controllers/main.py, blog, blog_post, old_blog_post and
		// blog_feed. A post's first view is noted in the session (posts_viewed),
		// which pages do not show.
		page("odoo-blog", `/blog(?:/`+slug+`)?(?:/(?:tag/[^/]+|feed|post/`+slug+`|`+slug+`))?(?:/page/[0-9]+)?/?$`, ttl.Pages, as),
		// website_event/controllers/main.py, events, event and event_page. Seats
		// run out. Registration is not taken.
		page("odoo-events", `/events?(?:/tags/[^/]+)?(?:/page/[0-9]+)?/?$`, ttl.Events, as),
		page("odoo-event", `/event/`+slug+`(?:/page/.+)?/?$`, ttl.Events, as),
		// website_event_track/controllers/event_track.py, event_tracks, event_agenda
		// and event_track_page; website_event_exhibitor/controllers/exhibitor.py.
		// They name the time zone of an event to whom it is a foreign one, by a
		// cookie that scripts set (website_visitor.py, _get_visitor_timezone).
		varying(page("odoo-event-times", `/event/`+slug+`/(?:agenda|exhibitors|exhibitor/`+slug+`|track|track/tag/`+slug+`|track/`+slug+`)/?$`, ttl.Events, as), "tz"),
		// website_forum/controllers/website_forum.py, forum, questions, forum_faq,
		// forum_faq_karma, tags and question. A cookie of the visitor's
		// hides the greeting (_prepare_user_values).
		varying(page("odoo-forum", `/forum(?:/all|/`+slug+`(?:/faq|/faq/karma|/tag|/tag/[^/]|/tag/`+slug+`/questions|/question/`+slug+`|/`+slug+`)?)?(?:/page/[0-9]+)?/?$`, ttl.Forum, as), "forum_welcome_message"),
		// website_slides/controllers/main.py, slides_channel and slides_channel_all:
		// the lists. A course notes what was viewed, and who takes part.
		page("odoo-courses", `/slides(?:/all)?(?:/tag/[^/]+)?(?:/page/[0-9]+)?/?$`, ttl.Pages, as),
		// website_hr_recruitment/controllers/main.py, jobs and job. The
		// form to apply is not taken: the session fills it in.
		page("odoo-jobs", `/jobs(?:/detail)?(?:/(?:page/[0-9]+|`+slug+`|(?:country|department|office|employment_type)/[^/]+))*/?$`, ttl.Pages, as),
		// html_editor/controllers/main.py, shape and image_shape: pictures that
		// pages are decorated with, of public images or those a visitor may see. Their
		// route is one of the website's, which redirects by language.
		page("odoo-shapes", `/(?:html|web)_editor/(?:image_)?shape/.+$`, ttl.Images, as),
	}
}

// pageTerms are what all pages have in common.
type pageTerms struct {
	grace     string
	languages []string
	noise     []string // parameters that are left out
}

// page makes a rule for pages of the website, path being what comes after the
// language, "" for all.
//
// Odoo says nothing of their freshness. Only status 200 is stored: redirects
// depend on cookie, Accept-Language and user agent, and a page with status
// 200 is always in the language of its address, the website's default one if it
// has none (http_routing/models/ir_http.py, _match). So the language in the
// key only says who gets it, and who has to be sent elsewhere.
//
// visitor_uuid, by which Odoo 14 and 15 count views (website/models/
// website_visitor.py), is dropped: a visitor gets one with the first answer that is
// not for everybody.
//
// frontend_lang is set again with every hit: JSON routes have no language in
// their address and go by it. The cookie of the cookies bar
// (website_cookies_bar) is not part of the key: the bar is in the page for
// everyone, and a script hides it.
func page(name, path, ttl string, as pageTerms) option.Rule {
	r := option.Rule{
		Name:              name,
		Match:             option.Match{Methods: []string{"GET"}},
		TTL:               ttl,
		Grace:             as.grace,
		StaleIfError:      staleIfError,
		RequestDirectives: "ignore",
		Query:             option.Query{Ignore: as.noise},
		Cookies:           option.Cookies{Drop: append([]string{SessionCookie, VisitorCookie}, AddonCookies...), Keep: []string{LanguageCookie}},
		Status:            []string{"200"},
		Vary:              languagesOf(as.languages),
	}
	if path != "" {
		r.Match.PathRegexp = inLanguage + path
		r.Session = "keep"
	}
	return r
}

// languagesOf says how a page varies by language.
func languagesOf(languages []string) option.Vary {
	switch len(languages) {
	case 0:
		languages = []string{option.AnyLanguage}
	case 1:
		languages = nil // nobody is sent elsewhere
	}
	return option.Vary{Languages: languages}
}

func varying(r option.Rule, cookies ...string) option.Rule {
	r.Vary.Cookies = cookies
	return r
}

// marking takes requests with one of the parameters, and marks the sessions of
// those that reach Odoo.
func marking(r option.Rule, params []string) option.Rule {
	r.Match.AnyQuery = anyOf(params)
	r.Session = "mark"
	return r
}
