# Prints every HTTP route of the installed modules as JSON, one a line, as Odoo
# itself puts them together (base, ir.http.routing_map); run in "odoo shell".
# The snapshot testdata/odoo/routes.json holds those that a visitor can reach by GET:
#
#   (echo SNAPSHOT=1; cat routes.py) | ./shell plain >../../../testdata/odoo/routes.json
#   (echo SNAPSHOT=1; cat routes.py) | ../14/shell plain >../../../testdata/odoo14/routes.json
#
# auth=user wants a session that is signed in, auth=bearer that or an API key; all
# others let visitors in, some with a token. Without methods a route takes any, but
# for those of type jsonrpc, which answer 405 to everything that is no POST (in Odoo 14
# json, which answer 400 to what has no body).
# ruff: noqa: F821
import json

import odoo.release
from odoo.http import _generate_routing_rules

IrHttp = env["ir.http"]
snapshot = globals().get("SNAPSHOT")


def described(rule, endpoint):
    routing = endpoint.routing
    method = getattr(endpoint, "func", None) or endpoint.method  # Odoo 14
    # The class of the controller is made up of all that extend it: take the
    # module that declared the method last.
    owner = next(c for c in type(method.__self__).mro() if method.__name__ in c.__dict__)
    return {
        "rule": rule,
        "methods": tuple(sorted(routing["methods"])) if routing.get("methods") else None,
        "auth": routing["auth"],
        "type": routing["type"],
        "website": bool(routing.get("website")),
        "multilang": bool(routing.get("website") and routing.get("multilang", True)),
        "sitemap": "function" if callable(routing.get("sitemap")) else routing.get("sitemap"),
        "readonly": "function" if callable(routing.get("readonly")) else bool(routing.get("readonly")),
        "list_as_website_content": bool(routing.get("list_as_website_content")),
        "handler": f"{owner.__module__.removeprefix('odoo.addons.')}.{owner.__name__}.{method.__name__}",
    }


def by_visitors(route):
    return route["auth"] not in ("user", "bearer") and route["type"] not in ("jsonrpc", "json") and (route["methods"] is None or "GET" in route["methods"])


modules = sorted(env.registry._init_modules.union(odoo.tools.config["server_wide_modules"]))
routes = [
    described(rule, endpoint)
    for rule, endpoint, *_ in _generate_routing_rules(modules, False, IrHttp._get_converters())
]
# A controller that several modules extend apart from each other comes up once for each.
routes = [dict(r) for r in {tuple(r.items()) for r in routes}]
routes.sort(key=lambda r: (r["rule"], r["type"], r["handler"]))
if snapshot:
    routes = [r for r in routes if by_visitors(r)]
for route in routes:
    # Said only where it is not the rule.
    for name, usual in (("methods", None), ("website", False), ("multilang", False), ("readonly", False), ("list_as_website_content", False), ("sitemap", None)):
        if route[name] == usual:
            del route[name]

# What has no route: pages that were made in the editor, and redirects
# (website, ir.http._serve_fallback).
# Those that a broken-off test may have left are named /test-….
pages = sorted({u for u in env["website.page"].search([("website_published", "=", True)]).mapped("url") if not u.startswith("/test-")})


def lines(items):
    return ",\n".join("    " + json.dumps(i, separators=(", ", ": ")) for i in items)


print('{\n  "odoo": %s,\n  "modules": %s,\n  "routes": [\n%s\n  ],\n  "pages": [\n%s\n  ]\n}' % (
    json.dumps(odoo.release.version),
    json.dumps(sorted(env["ir.module.module"].search([("state", "=", "installed")]).mapped("name"))),
    lines(routes), lines(pages)))
