"""Requests to an edge, and what to do about those that do not get there. Pure:
no database, no request of a visitor."""
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from urllib.parse import urljoin, urlsplit

from . import const, tools

# Where all of it is told.
PAGE = 'docs/purging.md, "From where Odoo is"'


class _Connection(http.client.HTTPSConnection):
    """Asks for the certificate of the site, where an edge is reached under
    another name than the site's."""

    def __init__(self, host, server_name=None, **kwargs):
        super().__init__(host, **kwargs)
        self._server_name = server_name

    def connect(self):
        http.client.HTTPConnection.connect(self)
        name = self._server_name or self._tunnel_host or self.host
        self.sock = self._context.wrap_socket(self.sock, server_hostname=name)


class _HTTPSHandler(urllib.request.HTTPSHandler):

    def https_open(self, req):
        return self.do_open(_Connection, req, server_name=getattr(req, 'server_name', None))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, which purges nothing."""

    def redirect_request(self, *args, **kwargs):
        return None


def _build_opener():
    """Speaks HTTP and HTTPS, and nothing else (build_opener() adds files and FTP)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.UnknownHandler, urllib.request.HTTPHandler,
        _HTTPSHandler, urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor,
        _NoRedirect,
    ):
        opener.add_handler(handler())
    return opener


_opener = _build_opener()


def exchange(http_request, timeout, size=2000):
    """Sends a request. Returns status, headers and the start of the body, so
    many bytes at most."""
    try:
        with _opener.open(http_request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read(size).decode('utf-8', 'replace')
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read(size).decode('utf-8', 'replace')


def request(url, host, path, **kwargs):
    """A request to an endpoint of an edge, and its request target.

    :param str url: the edge's address
    :param str host: the Host field to send, and with TLS the name whose
        certificate the edge has to show; '': those of the address
    """
    address, own, target = tools.endpoint(url, path)
    made = urllib.request.Request(address, **kwargs)
    made.add_header('Host', host.lower() or own)
    if host:
        made.server_name = urlsplit(f'//{host}').hostname
    return made, target


def purge(url, host, secret, tenant, body, timeout):
    """Sends a purge to an edge. Raises if nothing answers.

    :param str secret: '': the purge is not signed
    :param bytes body: see tools.purge_body
    :param float timeout: seconds
    :return: status, headers, the start of the body
    """
    made, target = request(url, host, const.PATH_PURGE, data=body, method='POST',
                           headers={'Content-Type': 'application/json'})
    if secret:
        made.add_header(const.HEADER_SIGNATURE, tools.signature(
            secret, int(time.time()), tools.nonce(), tenant, made.get_header('Host'), 'POST', target, body))
    return exchange(made, timeout)


def of_edge(text):
    """Reports whether this is how an answer of an edge begins: all of them are
    JSON objects."""
    return text.lstrip().startswith('{')


def refusal(url, host, status, headers, text):
    """What an answer that is not the wanted one says, in English: its status,
    and what to do about it or, if the edge has answered, its own words."""
    if not of_edge(text) or 300 <= status < 400:
        return f'{status}: {_proxied(url)}{_hint(url, host, status, headers, text)}'
    try:
        text = json.loads(text)['error']
    except (ValueError, KeyError, TypeError):
        pass
    return f'{status} {text}'


def _proxied(url):
    """Says so if a request to an edge goes by way of a proxy."""
    parts = urlsplit(url if '://' in url else f'http://{url}')
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.netloc):
        return ''
    return (f"the request goes by way of the proxy {tools.without_credentials(proxy)}; if {parts.hostname} is not out there,"
            f" add it to NO_PROXY in Odoo's environment. Otherwise: ")


def _hint(url, host, status, headers, text):
    parts = urlsplit(url if '://' in url else f'http://{url}')
    name = urlsplit(f'//{host or parts.netloc}').hostname
    router = f'a router Host(`{name}`) && PathPrefix(`/.odoocache`) with the odoocache middleware ({PAGE})'
    if 300 <= status < 400:
        target = urlsplit(urljoin(parts.geturl(), headers.get('Location') or ''))
        if (parts.scheme, target.scheme) == ('http', 'https'):
            return (f"this entry point sends what is not encrypted on to {target.netloc}, and a purge does not follow: give the"
                    f" address of an entry point that does not, or https:// and, as ODOOCACHE_EDGE_HOST, a host of the site ({PAGE})")
        return (f"the purge is sent on to {tools.without_credentials(target.geturl())}, and does not follow:"
                f" give that host, or {router}")
    if status == 404 and text.strip() == '404 page not found':
        return (f"Traefik has no router for the host {name} on this entry point that takes {parts.scheme}:// (one with tls takes"
                " https:// alone, one without http:// alone), or its middleware has a mistake, of which Traefik's log tells:"
                f" set ODOOCACHE_EDGE_HOST to a host of the site, or make {router}")
    if status == 418:
        return f"Traefik's router for {name} has no odoocache middleware, or another adminPath: make it {router}"
    if status == 401:
        return f"something in front of the edge asks for a password: make {router}, and with no other one in front"
    if status in (502, 504):
        return f"{name} is reached, and does not reach the edge"
    return (f"what answers for {name} is not the edge: the router that takes this host has no odoocache middleware,"
            f" or the address is not Traefik's; set ODOOCACHE_EDGE_HOST to a host of the site, or make {router}")


def failure(url, host, error, timeout):
    """What to do about an error that request and exchange have raised, in English."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    parts = urlsplit(url if '://' in url else f'http://{url}')
    name = urlsplit(f'//{host}').hostname if host else parts.hostname
    hint = ''
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = (f"the edge shows no certificate for {name} that this machine trusts: set ODOOCACHE_EDGE_HOST"
                f" to a host of the site, for which Traefik has one ({PAGE})")
    elif isinstance(reason, ssl.SSLError):
        hint = "what answers does not speak TLS as expected: is the port right, or is it http://?"
    elif isinstance(reason, socket.gaierror):
        hint = (f"where Odoo runs nobody knows {parts.hostname}: in a compose network it is the name of Traefik's service,"
                " in a cluster <service>.<namespace>.svc")
    elif isinstance(reason, ConnectionRefusedError):
        hint = (f"nobody listens there: give the name and the port of Traefik's entry point as Odoo sees them"
                f" (in a container, {parts.hostname if parts.hostname in ('localhost', '127.0.0.1', '::1') else 'localhost'}"
                " is the container itself)")
    elif isinstance(reason, TimeoutError):
        hint = f"no answer within {timeout:g} s: are Odoo and Traefik in one network, is there a firewall between them?"
    return f'{reason}: {_proxied(url)}{hint}' if hint else f'{_proxied(url)}{error}'
