package origin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/textproto"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The markers that cmd/capture writes, and in heads {{date+N}}, {{start-N}}.
const (
	markerToken   = "{{csrf_token_____________________________________}}"
	markerSession = "{{session_id}}"
	markerBase    = "{{base}}"
)

// A page is a capture cut into what is the same for all and what is not.
type page struct {
	Page
	path     string // without the query
	head     []headLine
	parts    []part
	ids      []int  // the products whose prices it shows
	tags     string // for Surrogate-Key
	etag     string
	modified time.Time
	static   bool // not a page that Odoo renders: served with validators
}

type headLine struct{ name, value string }

// A slot is a place in a page that is filled at each render.
type slot int

const (
	slotNone    slot = iota
	slotToken        // the CSRF token
	slotBase         // scheme and host
	slotPath         // the path asked for
	slotQuery        // the query asked for, in the pager's links
	slotBadge        // the rest of the cart badge's tag, and its text
	slotPublic       // true or false
	slotUID          // null or a number
	slotSign         // the "Sign in" link's text
	slotList         // the product's list price
	slotSale         // the product's price
	slotLD           // the product's price in JSON-LD
	slotVersion      // the product's version, once it has been written
)

// A part is a text and the slot that follows it.
type part struct {
	text  string
	slot  slot
	id    int     // product
	extra float64 // price extra of a variant
}

// A cut replaces body[from:to] by a slot.
type cut struct {
	from, to int
	slot     slot
	id       int
	extra    float64
}

func (o *Origin) load(files fs.FS) error {
	data, err := fs.ReadFile(files, "index.json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &o.index); err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	for _, entry := range o.index.Pages {
		raw, err := fs.ReadFile(files, entry.Name+".http")
		if err != nil {
			return err
		}
		p, err := o.parse(entry, raw)
		if err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
		if entry.Name == "cart-add" {
			o.cartAdd = p
		}
		if entry.Kind == "notfound" {
			o.missing = p
		}
		if entry.Method != http.MethodGet || entry.Kind == "notfound" {
			continue
		}
		o.exact[entry.Path] = p
		if o.byPath[p.path] == nil || p.path == entry.Path {
			o.byPath[p.path] = p
		}
	}
	if o.missing == nil {
		return errors.New("index.json lists no page of the kind notfound")
	}
	// An extra can be told from a price only once the product's own is known.
	for _, p := range o.exact {
		o.settle(p)
	}
	return nil
}

func (o *Origin) parse(entry Page, raw []byte) (*page, error) {
	p := &page{Page: entry}
	p.path, _, _ = strings.Cut(entry.Path, "?")
	r := bufio.NewReader(bytes.NewReader(raw))
	status, err := textproto.NewReader(r).ReadLine()
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(status)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/") {
		return nil, fmt.Errorf("bad status line %q", status)
	}
	if p.Status, err = strconv.Atoi(fields[1]); err != nil {
		return nil, fmt.Errorf("bad status line %q", status)
	}
	contentType := ""
	for {
		line, err := textproto.NewReader(r).ReadLine()
		if err != nil {
			return nil, fmt.Errorf("the head has no end: %w", err)
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			return nil, fmt.Errorf("bad header line %q", line)
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Content-Type":
			contentType = value
		case "Etag":
			p.etag = value
		case "Last-Modified":
			if p.modified, err = http.ParseTime(fillTimes(value, o.start, o.start)); err != nil {
				return nil, err
			}
		}
		p.head = append(p.head, headLine{name, value})
	}
	p.static = entry.Kind == "image" || entry.Kind == "asset"
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(contentType, "image/") {
		p.parts = []part{{text: string(body)}}
	} else if p.parts, err = o.cut(p, string(body)); err != nil {
		return nil, err
	}
	p.tags = tagsOf(p, string(body))
	return p, nil
}

var (
	badgeRe   = regexp.MustCompile(`<sup class="my_cart_quantity [^"]*?(d-none">0)</sup>`)
	publicRe  = regexp.MustCompile(`"is_(?:public|website_user)": (true)`)
	uidRe     = regexp.MustCompile(`"uid": (null)`)
	signRe    = regexp.MustCompile(`<a href="/web/login" class="[^"]*o_nav_link_btn[^"]*">(Sign in)</a>`)
	pagerRe   = regexp.MustCompile(`<a href="/[^"?]*()" class="page-link `)
	cardRe    = regexp.MustCompile(`class="oe_product `)
	cardIDRe  = regexp.MustCompile(`href="/shop/(?:[^"?/]+/)?[^"?/]*-([0-9]+)["?]`)
	cardRowRe = regexp.MustCompile(`template_price_vals\[&#39;(price_reduce|base_price)&#39;\]">[^<]*<span class="oe_currency_value">([0-9.,]+)</span></(?:span|small)>()`)
	mainRe    = regexp.MustCompile(`data-main-object="([a-z_.]+)\(([0-9]+),\)"`)
	mainRowRe = regexp.MustCompile(`combination_info\[&#39;(price|list_price)&#39;\]">[^<]*<span class="oe_currency_value">([0-9.,]+)</span></span>()`)
	ldRe      = regexp.MustCompile(`"price": ([0-9.]+),\s*"priceCurrency"`)
)

// cut finds all that is not the same for everyone.
func (o *Origin) cut(p *page, body string) ([]part, error) {
	var cuts []cut
	add := func(from, to int, s slot) { cuts = append(cuts, cut{from: from, to: to, slot: s}) }
	all := func(text string, s slot) {
		for at := 0; ; {
			i := strings.Index(body[at:], text)
			if i < 0 {
				return
			}
			add(at+i, at+i+len(text), s)
			at += i + len(text)
		}
	}
	group := func(re *regexp.Regexp, s slot) {
		for _, m := range re.FindAllStringSubmatchIndex(body, -1) {
			add(m[2], m[3], s)
		}
	}
	all(markerToken, slotToken)
	all(markerBase, slotBase)
	group(badgeRe, slotBadge)
	group(publicRe, slotPublic)
	group(uidRe, slotUID)
	group(signRe, slotSign)
	switch p.Kind {
	case "notfound":
		all(p.path, slotPath)
	case "product":
		group(regexp.MustCompile(`"og:url" content="`+regexp.QuoteMeta(markerBase)+"("+regexp.QuoteMeta(p.path)+`)"`), slotPath)
	case "shop", "category", "search":
		if p.path == p.Page.Path {
			group(pagerRe, slotQuery)
		}
	}
	prices, err := o.cutPrices(p, body)
	if err != nil {
		return nil, err
	}
	cuts = append(cuts, prices...)
	sort.SliceStable(cuts, func(i, j int) bool { return cuts[i].from < cuts[j].from })
	parts := make([]part, 0, len(cuts)+1)
	at := 0
	for _, c := range cuts {
		if c.from < at {
			return nil, fmt.Errorf("two marks overlap at byte %d", c.from)
		}
		parts = append(parts, part{text: body[at:c.from], slot: c.slot, id: c.id, extra: c.extra})
		at = c.to
	}
	return append(parts, part{text: body[at:]}), nil
}

// cutPrices finds the prices and notes the products that they belong to.
func (o *Origin) cutPrices(p *page, body string) ([]cut, error) {
	var cuts []cut
	// rows finds a product's prices in body[from:to].
	rows := func(re *regexp.Regexp, id, from, to int) error {
		var list, sale float64
		for _, m := range re.FindAllStringSubmatchIndex(body[from:to], -1) {
			s := slotSale
			v, err := parsePrice(body[from+m[4] : from+m[5]])
			if err != nil {
				return err
			}
			switch body[from+m[2] : from+m[3]] {
			case "base_price", "list_price":
				s, list = slotList, v
			default:
				sale = v
				cuts = append(cuts, cut{from: from + m[6], to: from + m[7], slot: slotVersion, id: id})
			}
			cuts = append(cuts, cut{from: from + m[4], to: from + m[5], slot: s, id: id})
		}
		if sale == 0 {
			return nil // a product without a price to show
		}
		if list == 0 {
			list = sale
		}
		p.ids = append(p.ids, id)
		if o.products[id] == nil {
			o.products[id] = &product{list: list, factor: math.Round(sale/list*1e4) / 1e4}
		}
		return nil
	}
	if p.Kind == "product" {
		m := mainRe.FindStringSubmatch(body)
		if m == nil || m[1] != "product.template" {
			return nil, errors.New("the page names no product")
		}
		id, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, err
		}
		if err := rows(mainRowRe, id, 0, len(body)); err != nil {
			return nil, err
		}
		for _, m := range ldRe.FindAllStringSubmatchIndex(body, -1) {
			v, err := parsePrice(body[m[2]:m[3]])
			if err != nil {
				return nil, err
			}
			cuts = append(cuts, cut{from: m[2], to: m[3], slot: slotLD, id: id, extra: v})
		}
	}
	cards := cardRe.FindAllStringIndex(body, -1)
	for i, c := range cards {
		end := len(body)
		if i+1 < len(cards) {
			end = cards[i+1][0]
		}
		m := cardIDRe.FindStringSubmatch(body[c[0]:end])
		if m == nil {
			continue
		}
		id, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, err
		}
		if err := rows(cardRowRe, id, c[0], end); err != nil {
			return nil, err
		}
	}
	return cuts, nil
}

// settle turns the prices noted as a variant's extra into that extra.
func (o *Origin) settle(p *page) {
	for i := range p.parts {
		if t := &p.parts[i]; t.slot == slotLD {
			pr := o.products[t.id]
			t.extra = math.Round((t.extra/pr.factor-pr.list)*100) / 100
		}
	}
}

func parsePrice(s string) (float64, error) {
	return strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
}

// formatPrice writes 1234.5 as Odoo does: 1,234.50.
func formatPrice(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	for i := len(s) - 6; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// formatFloat writes a number as Python does: 675.0.
func formatFloat(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

var versionRe = regexp.MustCompile(`<small class="o_origin_version [^"]*" data-product="([0-9]+)">version ([0-9]+)</small>`)

// PageVersion returns the version of the product that a page shows: how often
// its price had been written when the page was rendered. A page that shows no
// version shows the captured price, version 0.
func PageVersion(body []byte, id int) int64 {
	for _, m := range versionRe.FindAllSubmatch(body, -1) {
		if string(m[1]) == itoa(id) {
			v, err := strconv.ParseInt(string(m[2]), 10, 64)
			if err == nil {
				return v
			}
		}
	}
	return 0
}

// render fills the page for a visitor. Prices are those of this moment, as a
// render in Odoo sees the database as it was when it began.
func (o *Origin) render(p *page, v *visit, r *http.Request) []byte {
	token := ""
	if o.opts.Tokens == TokensSession {
		token = o.Token(v.sid, v.now)
	}
	prices := o.prices(p.ids)
	var b bytes.Buffer
	b.Grow(p.Bytes + 1024)
	for _, t := range p.parts {
		b.WriteString(t.text)
		pr := prices[t.id]
		switch t.slot {
		case slotToken:
			b.WriteString(token)
		case slotBase:
			b.WriteString(html.EscapeString(v.base))
		case slotPath:
			b.WriteString(html.EscapeString(r.URL.EscapedPath()))
		case slotQuery:
			if r.URL.RawQuery != "" {
				b.WriteString("?" + html.EscapeString(r.URL.RawQuery))
			}
		case slotBadge:
			if v.cart > 0 {
				fmt.Fprintf(&b, `" data-order-id="%d">%d`, v.order, v.cart)
			} else {
				b.WriteString(`d-none">0`)
			}
		case slotPublic:
			b.WriteString(strconv.FormatBool(v.login == ""))
		case slotUID:
			if v.login != "" {
				b.WriteString(itoa(uidOf(v.login)))
			} else {
				b.WriteString("null")
			}
		case slotSign:
			if v.login != "" {
				b.WriteString(html.EscapeString(v.login))
			} else {
				b.WriteString("Sign in")
			}
		case slotList:
			b.WriteString(formatPrice(pr.list))
		case slotSale:
			b.WriteString(formatPrice(pr.list * pr.factor))
		case slotLD:
			b.WriteString(formatFloat(math.Round((pr.list+t.extra)*pr.factor*100) / 100))
		case slotVersion:
			if pr.version > 0 {
				fmt.Fprintf(&b, ` <small class="o_origin_version text-muted" data-product="%d">version %d</small>`, t.id, pr.version)
			}
		case slotNone:
		}
	}
	return b.Bytes()
}

// uidOf returns the user id of one of the demo data's users.
func uidOf(login string) int {
	switch login {
	case "admin":
		return 2
	case "demo":
		return 7
	}
	return 6
}

var timeRe = regexp.MustCompile(`\{\{(date|start)([+-][0-9]+)?\}\}`)

// fillTimes fills the times in a header's value.
func fillTimes(value string, now, start time.Time) string {
	if !strings.Contains(value, "{{") {
		return value
	}
	return timeRe.ReplaceAllStringFunc(value, func(s string) string {
		m := timeRe.FindStringSubmatch(s)
		t := now
		if m[1] == "start" {
			t = start
		}
		offset, err := strconv.ParseInt("0"+strings.TrimLeft(m[2], "+-"), 10, 64)
		if err != nil {
			return s
		}
		if strings.HasPrefix(m[2], "-") {
			offset = -offset
		}
		return t.Add(time.Duration(offset) * time.Second).UTC().Format(http.TimeFormat)
	})
}

var (
	websiteRe = regexp.MustCompile(`data-website-id="([0-9]+)"`)
	postRe    = regexp.MustCompile(`href="/blog/[^"?/]*-([0-9]+)/[^"?/]*-([0-9]+)"`)
	imageRe   = regexp.MustCompile(`^/web/image/([a-z_.]+)/([0-9]+)/`)
)

// tagsOf names the records that a page shows, as the addon does: the record that
// the page is of, those it lists, and the tag of the model for a list.
func tagsOf(p *page, body string) string {
	var tags []string
	add := func(tag string) {
		for _, t := range tags {
			if t == tag {
				return
			}
		}
		tags = append(tags, tag)
	}
	switch p.Kind {
	case "shop", "search", "category":
		add("product.template")
	case "blog":
		add("blog.post")
	case "text":
		add("website-1")
		if strings.HasSuffix(p.path, "/sitemap.xml") {
			for _, t := range []string{"product.template", "product.public.category", "blog.post", "website.page"} {
				add(t)
			}
		}
	}
	if m := imageRe.FindStringSubmatch(p.path); m != nil {
		add(m[1] + "-" + m[2])
	}
	if m := mainRe.FindStringSubmatch(body); m != nil && m[1] != "ir.ui.view" {
		add(m[1] + "-" + m[2])
	}
	for _, id := range p.ids {
		add("product.template-" + itoa(id))
	}
	if p.Kind == "blog" || p.Kind == "post" {
		for _, m := range postRe.FindAllStringSubmatch(body, -1) {
			add("blog.blog-" + m[1])
			add("blog.post-" + m[2])
		}
	}
	if m := websiteRe.FindStringSubmatch(body); m != nil {
		add("website-" + m[1])
	}
	return strings.Join(tags, " ")
}
