package config

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/option"
)

// fill reads what filling requests are like.
func (p *problems) fill(all *option.Config) FillSettings {
	c := all.Fill
	p.unknown("fill.", c.Unknown)
	s := FillSettings{Abandoned: p.number("fill.abandoned", c.Abandoned, 0, 10000)}
	addr, err := netip.ParseAddr(strings.TrimSpace(c.Address))
	if err != nil || addr.Zone() != "" {
		p.add("fill.address", "%q; expected an IP address such as 192.0.2.1", c.Address)
	} else {
		addr = addr.Unmap()
		if addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() {
			p.add("fill.address", "%q is no client's, and may have privileges; expected an address that has none anywhere, such as 192.0.2.1", c.Address)
		}
		s.Address = netip.AddrPortFrom(addr, 0).String()
	}
	s.Firewall = p.firewall(c.Firewall)
	s.Headers = append(s.Headers, databaseFields...)
	headers := p.names("fill.headers", c.Headers)
	seen := map[string]bool{}
	for i := 0; i < len(headers); i++ {
		if headers[i] == "" {
			continue
		}
		path := at("fill.headers", i)
		name := p.header(path, headers[i])
		switch {
		case isPersonal(name) || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "If-") || strings.HasPrefix(name, "Sec-"):
			p.add(path, "%q is what visitors send, and would make pages of one visitor; expected a field that a middleware in front sets for Odoo", headers[i])
		case hasString(hopFields, name):
			p.add(path, "%q is for caches and connections; expected a field that a middleware in front sets for Odoo", headers[i])
		case name == canonical(all.Headers.Edge) || name == canonical(all.Headers.Cache) || name == canonical(all.Headers.Purge):
			p.add(path, "%q is the cache's own; expected a field that a middleware in front sets for Odoo", headers[i])
		case seen[name] && !hasString(headers[:i], headers[i]): // else names has said so
			p.add(path, "%q is listed twice, in another case; expected it once", headers[i])
		}
		seen[name] = true
		if !hasString(s.Headers, name) {
			s.Headers = append(s.Headers, name)
		}
	}
	return s
}

// firewallFields are those by which firewalls mark an answer of their own.
var firewallFields = []string{
	"Cf-Mitigated",      // Cloudflare: "Detect a Challenge Page response" in the documentation of challenges
	"X-Amzn-Waf-Action", // AWS WAF: its developer guide, "How the challenge and CAPTCHA actions work"
}

// firewall reads by which fields firewalls between the cache and Odoo mark answers of their own.
func (p *problems) firewall(list []string) []string {
	fields := append([]string{}, firewallFields...)
	own := p.names("fill.firewall", list)
	for i := 0; i < len(own); i++ {
		if own[i] == "" {
			continue
		}
		name := p.header(at("fill.firewall", i), own[i])
		if isStandard(name) && !hasString(firewallFields, name) {
			p.add(at("fill.firewall", i), "%q is on other answers, too; expected a field that a firewall sets on answers of its own alone, such as Cf-Mitigated", own[i])
		}
		if !hasString(fields, name) {
			fields = append(fields, name)
		}
	}
	return fields
}

// databaseFields choose among Odoo's databases. They are always part of the key, and sent
// when the cache is filled: one more field in fill.headers must not drop them.
var databaseFields = []string{"X-Odoo-Dbfilter", "X-Odoo-Database"}

// visitorsFields are fields of requests that say something of the visitor, or are the cache's own.
var visitorsFields = []string{
	"Cookie", "Authorization", "Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Host", "Range", "Referer", "Origin", "Forwarded",
	"X-Odoo-Cache-Context", "Content-Length", "Transfer-Encoding", "Connection",
}

// isPersonal reports whether a field says something of the visitor, or of one request.
func isPersonal(name string) bool {
	return hasString(visitorsFields, name) || hasString(singleFields, name)
}

// country reads what pages depend on the visitor's country.
func (p *problems) country(c option.Country) CountrySettings {
	p.unknown("country.", c.Unknown)
	word := p.oneOf("country.geoip", c.GeoIP, "auto", "true", "false")
	s := CountrySettings{Known: word != "auto", GeoIP: word == "true"}
	if c.Header == "" {
		return s
	}
	mistakes := len(p.list)
	name := p.header("country.header", c.Header)
	if isPersonal(name) || hasString(hopFields, name) || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "If-") {
		p.add("country.header", "%q says nothing of a country; expected a field such as CF-IPCountry, which a proxy in front sets", c.Header)
	}
	if len(p.list) == mistakes { // else reported, and the preset's rules need not repeat it
		s.Header = strings.ToLower(name)
	}
	return s
}

// infrastructureCookies are those that balancers and firewalls between the cache and Odoo
// set on answers to anybody: which server has answered, or what they think of the client.
// They are no part of a page, and say nothing of Odoo's visitor.
var infrastructureCookies = []string{
	`_[0-9a-f]{5}`,                              // Traefik's sticky services (pkg/server/service/loadbalancer/sticky.go)
	`AWSALB(?:TG)?(?:CORS)?`, `AWSELB(?:CORS)?`, // AWS Elastic Load Balancing
	`aws-waf-token`,
	`GCLB`, `GCILB`, // Google Cloud Load Balancing
	`ARRAffinity(?:SameSite)?`, `ApplicationGatewayAffinity(?:CORS)?`, `ASLBSA(?:CORS)?`, `TiPMix`, `x-ms-routing-name`, // Azure
	`__cf_bm`, `__cflb`, `_cfuvid`, `cf_clearance`, `__cfruid`, `__cfwaitingroom`, // Cloudflare
	`incap_ses_[0-9_]+`, `visid_incap_[0-9]+`, `nlbi_[0-9_]+`, // Imperva
	`ak_bmsc`, `bm_s[vzo]`, `bm_mi`, `_abck`, `AKA_A2`, // Akamai
	`BIGipServer[^=]*`, `TS[0-9a-f]{6,}`, `NSC_[^=]*`, `citrix_ns_id[^=]*`, // F5, Citrix
	`SERVERID`, `srv_id`, `route`, `INGRESSCOOKIE`, `barra_counter_session`, `FGTServer`, // HAProxy, nginx and its ingress
}

// infrastructure makes one expression of the names of cookies that an infrastructure sets,
// those of the operator's with them.
func (p *problems) infrastructure(c option.Fill, session option.Session) *regexp.Regexp {
	taken := append(sessionCookies(session), odoo.LanguageCookie)
	all := strings.Join(infrastructureCookies, "|")
	own := p.names("fill.cookies", c.Cookies)
	for i := 0; i < len(own); i++ {
		name := strings.TrimSuffix(own[i], "*")
		switch {
		case own[i] == "":
			continue
		case name == "" || !tokenName.MatchString(name):
			p.add(at("fill.cookies", i), "%q; expected the name of a cookie, which may end in *", c.Cookies[i])
			continue
		case takes(own[i], taken):
			p.add(at("fill.cookies", i), "%q is Odoo's own, or the addon's; expected one of a balancer or firewall", c.Cookies[i])
			continue
		}
		all += "|" + regexp.QuoteMeta(name)
		if name != own[i] {
			all += "[^=]*"
		}
	}
	re, _ := expression("^(?:" + all + ")$") // its parts are quoted
	return re
}

// takes reports whether a name, which may end in *, is or begins one of a list.
func takes(name string, list []string) bool {
	prefix := strings.TrimSuffix(name, "*")
	for i := 0; i < len(list); i++ {
		if list[i] == name || (prefix != name && strings.HasPrefix(list[i], prefix)) {
			return true
		}
	}
	return false
}
