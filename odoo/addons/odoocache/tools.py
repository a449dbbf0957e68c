"""Pure functions: tokens, signatures, tags. No database, no request."""
import hashlib
import hmac
import json
from urllib.parse import urlsplit

from . import const


def edge_token(secret):
    """The word by which an edge that knows the secret announces itself."""
    if not secret:
        return const.TOKEN_WITHOUT_SECRET
    return hmac.new(secret.encode(), b'odoocache edge', hashlib.sha256).hexdigest()[:32]


def is_edge(header, secret):
    """Reports whether the value of the edge's request header is genuine."""
    if not header:
        return False
    return hmac.compare_digest(header.encode(), edge_token(secret).encode())


def signature(secret, timestamp, nonce, tenant, host, method, uri, body, mode='', purge_header=''):
    """The value of the signature header of a request to the edge, which takes
    it once.

    :param str nonce: 16 to 64 letters, digits, - or _, another for each request
    :param str tenant: the edge's option of that name
    :param str host: the Host header
    :param str uri: path and query as they stand in the request line
    :param bytes body: the body as it is sent
    :param str mode: value of X-Odoocache-Purge-Mode, empty if there is none
    :param str purge_header: value of X-Odoo-Purge, empty if there is none
    """
    message = '\n'.join([
        'odoocache-v2', str(timestamp), nonce, tenant, host.lower(), method, uri, mode, purge_header, '',
    ]).encode() + body
    digest = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return f't={timestamp},n={nonce},v2={digest}'


def context_value(secret, parts):
    """A value of the context cookie: the same for the same parts, and not to
    be guessed without the database's secret."""
    message = json.dumps(parts, sort_keys=True, default=str).encode()
    return hmac.new(secret.encode(), b'odoocache context\n' + message, hashlib.sha256).hexdigest()[:32]


def endpoint(url, path):
    """The address of an endpoint of the edge, its request target, and the host
    as it stands in the Host header."""
    parts = urlsplit(url if '://' in url else f'http://{url}')
    target = parts.path.rstrip('/') + path
    return f'{parts.scheme}://{parts.netloc}{target}', target, parts.netloc


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
