"""Pure functions: tokens, signatures, tags. No database, no request."""
import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from urllib.parse import urlsplit

from . import const


def edge_token(secret):
    """The word by which an edge that knows the secret announces itself."""
    if not secret:
        return const.TOKEN_WITHOUT_SECRET
    return hmac.new(secret.encode(), b'odoocache edge', hashlib.sha256).hexdigest()[:32]


def is_edge(header, secret):
    """Reports whether the value of the edge's request header is genuine. An edge
    whose secret is being changed says two words, of which one has to be right."""
    if not header:
        return False
    token = edge_token(secret).encode()
    return any([hmac.compare_digest(word.strip().encode(), token) for word in header.split(',')[:2]])


def signature(secret, timestamp, nonce, tenant, host, method, target, body, mode='', purge_header=''):
    """The value of the signature header of a request to the edge. One request,
    one nonce: the edge takes no nonce twice.

    :param int timestamp: seconds since 1970
    :param str nonce: 16 to 64 of [A-Za-z0-9_-], see nonce()
    :param str tenant: the edge's option ``tenant``
    :param str host: the Host field as it is sent
    :param str target: path and query as they stand in the request line
    :param bytes body: the body as it is sent
    :param str mode: value of X-Odoocache-Purge-Mode, empty if there is none
    :param str purge_header: value of X-Odoo-Purge, empty if there is none
    """
    lines = ('odoocache-v2', str(timestamp), nonce, tenant, host.lower(), method, target, mode, purge_header)
    message = b'\n'.join([*(line.encode() for line in lines), body])
    digest = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return f't={timestamp},n={nonce},v2={digest}'


def nonce():
    """A word that no request has had: 22 of [A-Za-z0-9_-]."""
    return secrets.token_urlsafe(16)


# A context names settings by their parts, for example
# {"country": "FR", "pricelist": 5, "website": 1}. Its value is
# 1.<base64url of that as JSON>.<base64url of half an HMAC-SHA256 of both>.
CONTEXT_VERSION = '1'


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def _context_signature(secret, text):
    key = hmac.new(secret.encode(), b'odoocache context key', hashlib.sha256).digest()
    return _base64(hmac.new(key, text.encode(), hashlib.sha256).digest()[:16])


def context_value(secret, parts):
    """A context's value: the same for the same parts, and by nobody else.

    :param str secret: the database's secret
    :param dict parts: what JSON can say
    :return: the value, or None if there is no secret or the value is too long
    """
    if not secret:
        return None
    text = json.dumps(parts, sort_keys=True, separators=(',', ':'))
    text = f'{CONTEXT_VERSION}.{_base64(text.encode())}'
    value = f'{text}.{_context_signature(secret, text)}'
    return value if const.MIN_CONTEXT_BYTES <= len(value) <= const.MAX_CONTEXT_BYTES else None


def context_parts(secret, value):
    """The parts that a context's value names, or None if it is not genuine."""
    if not secret or not const.MIN_CONTEXT_BYTES <= len(value) <= const.MAX_CONTEXT_BYTES:
        return None
    text, _dot, given = value.rpartition('.')
    if not hmac.compare_digest(given.encode(), _context_signature(secret, text).encode()):
        return None
    version, _dot, data = text.partition('.')
    if version != CONTEXT_VERSION:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(data + '=' * (-len(data) % 4)))
    except (binascii.Error, ValueError):
        return None
    return parts if isinstance(parts, dict) else None


def url_fault(url):
    """What is wrong with the address of an edge, in English, or None."""
    try:
        parts = urlsplit(url if '://' in url else f'http://{url}')
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        return str(error)
    if not re.fullmatch(r'[\x21-\x7e]+', url):
        return "an address has no spaces, no control characters and no letters beyond ASCII"
    if parts.scheme not in ('http', 'https'):
        return f"it begins with http:// or https://, not with {parts.scheme}://"
    if parts.username is not None or parts.password is not None:
        return "it holds a name or a password, which an edge does not take"
    if not host:
        return "it has no host"
    if parts.query or parts.fragment:
        return "it has a query or a fragment"
    return None


def host_fault(host):
    """What is wrong with the Host field that edges are sent, in English, or None."""
    if not host or re.fullmatch(r'(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?', host):
        return None
    return "expected a host of the site such as shop.example, with its port if that is not the usual one"


def without_credentials(url):
    """The address as it may be shown and logged."""
    return re.sub(r'(?<=//)[^/?#]*@', '', url) if '://' in url else url.rpartition('@')[2]


def endpoint(url, path):
    """The address of an endpoint of the edge, its Host field and its request
    target."""
    parts = urlsplit(url if '://' in url else f'http://{url}')
    target = parts.path.rstrip('/') + path
    return f'{parts.scheme}://{parts.netloc}{target}', parts.netloc.lower(), target


# Words among an edge's counters for what Odoo was not asked for, and for what is
# no question for a page (docs/cache-status.md).
SERVED = ('hit', 'collapsed', 'stale-if-error')
NO_QUESTION = ('rule', 'method', 'upgrade', 'event-stream', 'purge', 'purge-denied', 'refresh', 'rewarm', 'revalidated')


def edge_numbers(text):
    """What an edge's status says of its work since it was started.

    :param str text: its answer, JSON
    :return: ``served`` and ``asked``: how many pages came from the cache, and
        how many from Odoo, of those that may be kept; ``storage``; ``breaker``;
        ``waiting``: purges that it keeps for later. Nothing if it says nothing.
    """
    try:
        status = json.loads(text)
        counters = {str(word): int(n) for word, n in status['counters'].items()}
        served = sum(counters.get(word, 0) for word in SERVED)
        return {
            'served': served,
            'asked': sum(n for word, n in counters.items() if word not in SERVED and word not in NO_QUESTION),
            'storage': str(status.get('storage') or ''),
            'breaker': str(status.get('breaker') or ''),
            'waiting': int(status.get('pendingPurges') or 0),
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def record_tag(model, record_id):
    return f'{model}-{record_id}'


def any_tag(model):
    """Borne by each page that shows records of the model, so that a change of
    many records can be purged by one tag."""
    return f'{model}-any'


def many_tag(model):
    """Borne by pages that show more records of the model than a header can
    name; purged with each record."""
    return f'{model}-many'


def page_tags(records, others):
    """The tags of a page, within the limits.

    :param dict records: model name -> set of ids
    :param set others: tags that are not of single records
    :return: sorted list of tags, or None if even the shortest form is too much
    """
    many = set()
    while True:
        tags = set(others)
        for model, ids in records.items():
            if not ids:
                continue
            tags.add(any_tag(model))
            if model in many:
                tags.add(many_tag(model))
            else:
                tags.update(record_tag(model, i) for i in ids)
        tags = {tag for tag in tags if len(tag) <= const.MAX_TAG_BYTES}
        if len(tags) <= const.MAX_TAGS and sum(map(len, tags)) + len(tags) <= const.MAX_TAGS_HEADER_BYTES:
            return sorted(tags)
        rest = [m for m, ids in records.items() if len(ids) > 1 and m not in many]
        if not rest:
            return None
        many.add(max(rest, key=lambda m: (len(records[m]) * (len(m) + 8), m)))


def purge_tags(model, ids):
    """What to purge when these records changed."""
    if not ids:
        return set()
    if len(ids) > const.MAX_PURGE_RECORDS:
        return {any_tag(model)}
    return {record_tag(model, i) for i in ids} | {many_tag(model)}


def is_item(text):
    """Reports whether this can be an item of a purge: one word, as a header
    and a list separate them."""
    return bool(text) and text.isprintable() and not any(c.isspace() or c in ',*' for c in text)


def purge_items(tags):
    """Items of one purge, within the limits: a sorted list, or everything."""
    if const.ALL in tags or len(tags) > const.MAX_PURGE_ITEMS:
        return [const.ALL]
    return sorted(tags)


def purge_header(tags):
    """The value of the purge header."""
    value = ', '.join(purge_items(tags))
    return value if len(value) <= const.MAX_PURGE_HEADER_BYTES else const.ALL


def purge_body(tags):
    """The JSON body of a purge request, as bytes."""
    items = purge_items(tags)
    if items == [const.ALL]:
        return b'{"all": true}'
    document = {'tags': [i for i in items if not i.startswith('/')]}
    paths = [i for i in items if i.startswith('/')]
    if paths:
        document['paths'] = paths
    return json.dumps({k: v for k, v in document.items() if v}).encode()
