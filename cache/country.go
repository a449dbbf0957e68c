package cache

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/fill"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// An Odoo with a database of countries writes the visitor's country into each page, and
// picks pricelists and lists of partners by it (addons/website/models/ir_http.py,
// get_frontend_session_info; addons/website_sale/models/website.py). The address of a filling
// request has no country, so no fill shows that there is such a database. It is found out
// once for a tenant, by asking for one light page from addresses that have a country; and
// seen in what visitors get who ask for themselves. From then on a page without a country
// is not for everybody.

// country is what is known of a tenant.
type country struct {
	state int32 // atomic
	mu    sync.Mutex
}

const (
	countryUnknown = 0
	countryless    = 1 // Odoo has no database of countries
	byCountry      = 2
)

// countryTag is borne by pages that were rendered for the country in their key.
var countryTag = keys.HashTag("c", "country")

// probed are addresses that databases of countries have: a public resolver's and one of a
// European network; and, for a database that is made for tests, those that are kept for
// documentation (RFC 5737).
var probed = []string{"8.8.8.8", "81.2.69.142", "198.51.100.1", "203.0.113.1"}

// countryOf returns what is known of the handler's tenant.
func countryOf(h *Handler) *country {
	sh := h.shared
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.countries[h.s.Tenant]
	if c == nil {
		c = &country{}
		sh.countries[h.s.Tenant] = c
	}
	return c
}

// watchCountry returns what is to be told if an answer to a visitor's own request shows a
// country, nil if nothing is left to be learned.
func watchCountry(h *Handler) *country {
	if h.s.Country.Known {
		return nil
	}
	if c := countryOf(h); atomic.LoadInt32(&c.state) != byCountry {
		return c
	}
	return nil
}

// rendersByCountry reports whether pages depend on the visitor's country. own is the head of
// a page that was rendered for nobody.
func rendersByCountry(f *fetching, own []byte) bool {
	h := f.h
	if h.s.Country.Known {
		return h.s.Country.GeoIP
	}
	c := countryOf(h)
	if state := atomic.LoadInt32(&c.state); state != countryUnknown || !bytes.Contains(own, odoo.CountryField) {
		return state == byCountry
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if atomic.LoadInt32(&c.state) == countryUnknown {
		probe(f, c)
	}
	return atomic.LoadInt32(&c.state) != countryless
}

// probe asks for a light page from addresses that have a country. Without an answer that tells
// nothing is known, and the next page is asked about again.
func probe(f *fetching, c *country) {
	h := f.h
	for _, path := range []string{h.s.CSRF.Path, f.v.target.Path} {
		told := 0
		for i := 0; i < len(probed); i++ {
			body := odoo.Head(probeFrom(f, path, probed[i]))
			if bytes.Contains(body, odoo.CountrySign) {
				learnCountries(h, c)
				return
			}
			if bytes.Contains(body, odoo.CountryField) {
				told++
			} else if i == 0 {
				break // this page does not say
			}
		}
		if told == len(probed) {
			atomic.StoreInt32(&c.state, countryless)
			return
		}
	}
}

// learnCountries notes that pages depend on the country. What was stored before is for nobody.
func learnCountries(h *Handler, c *country) {
	if atomic.SwapInt32(&c.state, byCountry) == byCountry {
		return
	}
	h.logf("Odoo renders pages for the visitor's country: they are stored where the field of requests that country.header names agrees with Odoo's country, or with the addon")
	if _, err := h.purge(storage.Purge{All: true}); err != nil {
		h.logf("countries: %v", err)
	}
}

// probeFrom asks for a page as nobody from an address, and returns its body.
func probeFrom(f *fetching, path, address string) (body []byte) {
	defer func() { _ = recover() }() // Traefik's proxy panics when an answer breaks off
	p := pageOf(f.v)
	p.Target.Path = path
	p.Target.Query = ""
	out := fill.Request(f.filling.ctx, p, &fill.Options{EdgeHeader: f.h.s.EdgeHeader, Edge: f.h.s.Edge, Address: address + ":0"})
	c := &capture{header: http.Header{}, limit: maxTokenPage}
	c.decide = func(c *capture) {
		applyPurgeHeaders(f.h, c.header)
		c.mode = keeping
	}
	f.h.next.ServeHTTP(c, out)
	endCapture(c)
	if c.status != http.StatusOK {
		return nil
	}
	plain, _ := decoded(c.header["Content-Encoding"], c.body, inflation*maxTokenPage)
	return plain
}

// locate gives a filling request the visitor's address, where its rule has the visitor's
// country in the key and Odoo renders pages by the address. The answer is stored only if it
// is for the country in the key.
func locate(h *Handler, f *fetching, out *http.Request) {
	v := f.v
	if v.rule.Country == "" || f.filling.rw == nil || !v.locates && !knownByCountry(h) {
		return
	}
	f.filling.located = true
	remote, forwarded := networksOf(v.r)
	if remote != "" { // else it stays fill.address
		out.RemoteAddr = net.JoinHostPort(remote, "0")
	}
	if forwarded != "" {
		out.Header["X-Forwarded-For"] = []string{forwarded}
	}
}

// networksOf returns the networks of a request's addresses in place of them: databases of countries
// know networks, and no page can show an address that nobody has sent. What is no address is left out.
func networksOf(r *http.Request) (remote, forwarded string) {
	remote = networkOf(r.RemoteAddr)
	list := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	var networks []string
	for i := 0; i < len(list); i++ {
		if n := networkOf(strings.TrimSpace(list[i])); n != "" {
			networks = append(networks, n)
		}
	}
	return remote, strings.Join(networks, ", ")
}

// Networks are of so many bits: what is given to one site or customer, or to some of them.
const (
	networkBits4 = 24
	networkBits6 = 48
)

// networkOf returns the first address of an address's network, "" for what is none.
func networkOf(address string) string {
	a, err := addressIn(address)
	if err != nil {
		return ""
	}
	bits := networkBits6
	if a.Is4() {
		bits = networkBits4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.Addr().String()
}

// knownByCountry reports whether it is known that pages depend on the visitor's country.
func knownByCountry(h *Handler) bool {
	if h.s.Country.Known {
		return h.s.Country.GeoIP
	}
	return atomic.LoadInt32(&countryOf(h).state) == byCountry
}

// reasonLocate says, among functions, that a page has to be asked for with the visitor's
// address.
const reasonLocate = "locate"

// foreignCountry returns why a page is not for all who have its key, "" if it is. Where it
// was asked for with the visitor's own request, that has an address.
func foreignCountry(f *fetching, c *capture, body []byte) (reason string, tag bool) {
	v, g := f.v, f.filling
	own := odoo.Head(body)
	if g == nil {
		if !bytes.Contains(own, odoo.CountrySign) {
			return "", false
		}
		if !countryAgrees(v, own) {
			return policy.ReasonCountry, false
		}
		return "", true
	}
	if c.header[odoo.ContextHeader] != nil {
		return "", false // the addon goes by the country, and says for which
	}
	if !rendersByCountry(f, own) {
		return "", false
	}
	switch {
	case v.rule.Country == "" || !g.located && g.rw == nil:
		return policy.ReasonCountry, false
	case !g.located:
		return reasonLocate, false
	case !countryAgrees(v, own) || showsAddress(v, body):
		return policy.ReasonCountry, false
	}
	return "", true
}

// showsAddress reports whether a page shows what it was asked for with in place of the visitor's
// address: a page that does shows addresses.
func showsAddress(v *visit, body []byte) bool {
	remote, forwarded := networksOf(v.r)
	list := append(strings.Split(forwarded, ", "), remote)
	for i := 0; i < len(list); i++ {
		if len(list[i]) > 3 && bytes.Contains(body, []byte(list[i])) {
			return true
		}
	}
	return false
}

// countryAgrees reports whether the country that a page, of which own is the head, was rendered
// for is named by a field in its key. A page that names none is for those whose field names none.
func countryAgrees(v *visit, own []byte) bool {
	at := bytes.Index(own, odoo.CountryField)
	if at < 0 {
		return false
	}
	rendered := ""
	if rest := own[at:]; bytes.HasPrefix(rest, odoo.CountrySign) && len(rest) > len(odoo.CountrySign)+2 {
		rendered = string(rest[len(odoo.CountrySign) : len(odoo.CountrySign)+2])
	}
	named := false
	for i := 0; i < len(v.values); i++ {
		_, value, is := strings.Cut(v.values[i], "=")
		if !is || !strings.HasPrefix(v.values[i], "h ") || len(value) != 2 || value == "XX" {
			continue
		}
		if strings.EqualFold(value, rendered) {
			return true
		}
		named = true
	}
	return rendered == "" && !named
}
