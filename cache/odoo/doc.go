// Package odoo holds what the cache knows of Odoo, and nothing else does: the rules of preset
// odoo with its routes and parameters, what tells a page of one visitor, what tokens, sessions
// and campaigns look like, how redirects are read. Whoever supports another version of Odoo
// begins here.
package odoo
