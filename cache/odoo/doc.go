// Package odoo holds what the cache knows of Odoo, and nothing else does: the rules of preset
// odoo with its routes and parameters, what tells a page of one visitor, what tokens, sessions
// and campaigns look like, how redirects are read. Whoever supports another version of Odoo
// begins here.
//
// rules.go has the rules of the preset, paths.go the paths and params.go the parameters that they
// name; opaque.go tells tokens in them from names, extend.go has what options add. session.go
// knows the cookies of sessions and contexts, consent.go and campaign.go those of consent and
// campaigns. signs.go finds a visitor in a page, country.go a country, token.go the tokens of
// forms. calls.go reads the body of a call, evidence.go compares pages. names.go has the names
// of header fields.
package odoo
