package config

import (
	"net/netip"
	"regexp"
	"strings"
)

// fill reads what filling requests are like.
func (p *problems) fill(c Fill) FillSettings {
	p.unknown("fill.", c.Unknown)
	s := FillSettings{Abandoned: p.number("fill.abandoned", c.Abandoned, 0, 10000)}
	addr, err := netip.ParseAddr(strings.TrimSpace(c.Address))
	if err != nil || addr.Zone() != "" {
		p.add("fill.address", "%q; expected an IP address such as 192.0.2.1", c.Address)
	} else {
		s.Address = netip.AddrPortFrom(addr.Unmap(), 0).String()
	}
	headers := p.names("fill.headers", c.Headers)
	for i := 0; i < len(headers); i++ {
		if headers[i] == "" {
			continue
		}
		name := p.header(at("fill.headers", i), headers[i])
		if hasString(visitorsFields, name) || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "If-") || strings.HasPrefix(name, "Sec-") {
			p.add(at("fill.headers", i), "%q is what visitors send, and would make pages of one visitor; expected a field that a middleware in front sets for Odoo", headers[i])
		}
		s.Headers = append(s.Headers, name)
	}
	return s
}

// visitorsFields are fields of requests that say something of the visitor, or are the cache's own.
var visitorsFields = []string{
	"Cookie", "Authorization", "Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Host", "Range", "Referer", "Origin", "Forwarded",
	"X-Real-Ip", "X-Openerp-Session-Id", "X-Odoo-Cache-Context", "Content-Length", "Transfer-Encoding", "Connection",
}

// country reads what pages depend on the visitor's country.
func (p *problems) country(c Country) CountrySettings {
	p.unknown("country.", c.Unknown)
	word := p.oneOf("country.geoip", c.GeoIP, "auto", "true", "false")
	s := CountrySettings{Known: word != "auto", GeoIP: word == "true"}
	if c.Header == "" {
		return s
	}
	s.Header = strings.ToLower(p.header("country.header", c.Header))
	if hasString(visitorsFields, canonical(c.Header)) {
		p.add("country.header", "%q says nothing of a country; expected a field such as CF-IPCountry, which a proxy in front sets", c.Header)
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
func (p *problems) infrastructure(c Fill) *regexp.Regexp {
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
		case strings.HasPrefix("session_id", name):
			p.add(at("fill.cookies", i), "%q is Odoo's own; expected one of a balancer or firewall", c.Cookies[i])
			continue
		}
		all += "|" + regexp.QuoteMeta(name)
		if name != own[i] {
			all += "[^=]*"
		}
	}
	return regexp.MustCompile("^(?:" + all + ")$")
}
