"""Names and limits that the addon shares with the edge."""

# Request header by which an edge says that it is there. The edge removes it
# from what visitors send.
HEADER_EDGE = 'X-Odoo-Cache-Edge'
# Response headers, addressed to the edge and removed by it.
HEADER_TAGS = 'Surrogate-Key'
HEADER_PURGE = 'X-Odoo-Purge'
HEADER_CACHE = 'X-Odoo-Cache'
# Also a request header of the edge, which removes it from what visitors send:
# the context to render for, on a request that fills the cache.
HEADER_CONTEXT = 'X-Odoo-Cache-Context'
HEADER_SIGNATURE = 'X-Odoocache-Signature'
# Tags of a page in Odoo's own page cache travel with it in this header; it
# never leaves Odoo.
HEADER_STORED_TAGS = 'X-Odoocache-Stored-Tags'

COOKIE_CONTEXT = 'odoocache_context'

CONTEXT_DEFAULT = '0'
CONTEXT_PRIVATE = 'private'

# What a signed context looks like to the edge: [A-Za-z0-9._-], and this long.
MIN_CONTEXT_BYTES = 16
MAX_CONTEXT_BYTES = 512

# The edge's option "tenant", if it is not set.
TENANT_DEFAULT = 'default'

# What an edge announces itself with when no secret is set.
TOKEN_WITHOUT_SECRET = 'odoocache'

# The edge's tenant where nothing else is said, as in the edge.
DEFAULT_TENANT = 'default'

PATH_PURGE = '/.odoocache/purge'
PATH_STATUS = '/.odoocache/status'

ALL = '*'

# Limits of the edge (its options limits.tags, limits.tagBytes, limits.purgeItems)
# and what still fits into a header that every proxy takes.
MAX_TAGS = 1000
MAX_TAG_BYTES = 256
MAX_TAGS_HEADER_BYTES = 6000
MAX_PURGE_ITEMS = 1000
MAX_PURGE_HEADER_BYTES = 8000

# A page that is wrong later than that (in seconds) is not said to be.
MAX_END = 366 * 86400

# More changed records of one model than this in one transaction, and the
# purge names the model.
MAX_PURGE_RECORDS = 200

# More unsent purges than this, and one purge of everything replaces them.
MAX_PENDING = 1000
