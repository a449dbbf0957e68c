package config

import (
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/keys"
)

// maxOwn bounds each list by which the preset is extended: each request is compared with them.
const maxOwn = 200

// extension reads how the preset is extended. What it returns has no mistakes left: they are
// named here, under the options that were written, and the preset's rules need not repeat
// them.
func (p *problems) extension(c *option.Config) option.Odoo {
	o, whole := c.Odoo, option.Default().Odoo
	p.unknown("odoo.", o.Unknown)
	p.unknown("odoo.ttl.", o.TTL.Unknown)
	p.oneOf("odoo.prefetch", o.Prefetch, "refuse", "forward")
	o.IgnoreQuery = p.ownParams("odoo.ignoreQuery", o.IgnoreQuery)
	o.BypassPaths = p.ownPaths("odoo.bypassPaths", o.BypassPaths, c.Admin.Path)
	o.HarmlessPaths = p.harmless("odoo.harmlessPaths", p.ownPaths("odoo.harmlessPaths", o.HarmlessPaths, c.Admin.Path), o.BypassPaths)
	mistakes := len(p.list)
	p.needed("odoo.grace", o.Grace)
	if len(p.list) > mistakes {
		o.Grace = whole.Grace
	}
	extends := len(o.IgnoreQuery)+len(o.BypassPaths)+len(o.HarmlessPaths) > 0 || o.Prefetch != whole.Prefetch || o.Grace != whole.Grace
	given, usual := lifetimes(&o.TTL), lifetimes(&whole.TTL)
	names := []string{"home", "products", "lists", "events", "forum", "pages", "images", "files", "texts"}
	for i := 0; i < len(names); i++ {
		mistakes = len(p.list)
		p.between("odoo.ttl."+names[i], *given[i], 366*policy.Day)
		if len(p.list) > mistakes {
			*given[i] = *usual[i]
		}
		extends = extends || *given[i] != *usual[i]
	}
	if c.Preset == "" && extends {
		p.add("odoo", "does nothing without a preset; expected preset: odoo")
	}
	return o
}

// lifetimes are those of all kinds, in the order of their names in extension.
func lifetimes(t *option.OdooTTL) []*string {
	return []*string{&t.Home, &t.Products, &t.Lists, &t.Events, &t.Forum, &t.Pages, &t.Images, &t.Files, &t.Texts}
}

// few reports a list that is too long.
func (p *problems) few(path string, list []string) []string {
	if len(list) > maxOwn {
		p.add(path, "%d members; expected at most %d", len(list), maxOwn)
		return nil
	}
	return list
}

// ownParams reads names of parameters that leave key and request, and returns those that may.
func (p *problems) ownParams(path string, list []string) []string {
	var out []string
	names := p.parameters(path, p.few(path, list))
	read := append(append(odoo.StateParams(), odoo.SessionParams()...), odoo.AccessToken)
	for i := 0; i < len(names); i++ {
		name := names[i]
		taken := keys.NewNames([]string{name})
		switch {
		case name == "" || inMidst(name) || hasString(names[:i], name): // reported
		case strings.Trim(name, "*") == "":
			p.add(at(path, i), "%q takes every parameter; expected the name of one, which may begin or end in *", list[i])
		case strings.ContainsAny(name, "&=?#%+") || !isLine(name) || strings.ContainsAny(name, " \t"):
			p.add(at(path, i), "%q would match nothing; expected the name of a parameter as it is decoded, without its value", list[i])
		case firstOf(taken, read) != "" || isTaken(name, read):
			p.add(at(path, i), "%q takes one that opens something or changes a session in Odoo; expected one that Odoo does not read", list[i])
		case firstOf(taken, odoo.PageParams()) != "":
			p.add(at(path, i), "%q takes %q, which pages of Odoo read; expected one that they do not read, or a rule with query.ignore", list[i], firstOf(taken, odoo.PageParams()))
		default:
			out = append(out, name)
		}
	}
	return out
}

// firstOf returns the first name in full of a list that a set has, empty if it has none.
func firstOf(set keys.Names, list []string) string {
	for i := 0; i < len(list); i++ {
		if !strings.Contains(list[i], "*") && set.Has(list[i]) {
			return list[i]
		}
	}
	return ""
}

// isTaken reports whether all that a name stands for is in a list whose names may end in *.
func isTaken(name string, list []string) bool {
	prefix := strings.TrimSuffix(name, "*")
	for i := 0; i < len(list); i++ {
		if all := strings.TrimSuffix(list[i], "*"); all != list[i] && strings.HasPrefix(prefix, all) {
			return true
		}
	}
	return false
}

// ownPaths reads plain paths, each of which takes all below it, and returns those that do.
func (p *problems) ownPaths(path string, list []string, admin string) []string {
	names := p.names(path, p.few(path, list))
	var out []string
	for i := 0; i < len(names); i++ {
		name := strings.TrimSuffix(names[i], "/")
		admin := strings.TrimSuffix(admin, "/")
		switch {
		case names[i] == "" || hasString(names[:i], names[i]): // reported
		case name == "" || strings.Trim(name, "/") == "":
			p.add(at(path, i), "%q takes every path; expected one of its own, such as /my_module", list[i])
		case !isPlainPath(name) || strings.Contains(name, ";") || strings.HasSuffix(name, "/"):
			p.add(at(path, i), "%q would match nothing; expected a decoded path such as /my_module, which takes all below it", list[i])
		case admin != "" && (name == admin || strings.HasPrefix(name, admin+"/")):
			p.add(at(path, i), "%q is below admin.path, which the cache answers itself; expected a path of Odoo", list[i])
		default:
			out = append(out, name)
		}
	}
	return out
}

// harmless returns the paths that may leave sessions what they are.
func (p *problems) harmless(path string, list, bypass []string) []string {
	if len(list) == 0 {
		return nil
	}
	var out []string
	bypassed := regexp.MustCompile(odoo.BelowPaths(bypass))
	for i := 0; i < len(list); i++ {
		below := regexp.MustCompile(odoo.BelowPaths(list[i : i+1]))
		changing := ""
		for _, route := range odoo.ChangingPaths() {
			if changing == "" && below.MatchString(route) {
				changing = route
			}
		}
		switch {
		case changing != "":
			p.add(path, "%q takes %s, after which pages show something else; expected a path that changes nothing", list[i], changing)
		case len(bypass) > 0 && bypassed.MatchString(list[i]):
			p.add(path, "%q does nothing, since odoo.bypassPaths takes it; expected it in one of the two", list[i])
		default:
			out = append(out, list[i])
		}
	}
	return out
}
