package policy

// Reasons say why a response was not stored or a stored one not used. The same
// words stand in Cache-Status as detail=, in the log and in the counters, and
// docs/cache-status.md lists them.
const (
	// The request.
	ReasonMethod          = "method"           // neither GET nor HEAD
	ReasonUpgrade         = "upgrade"          // WebSocket or another protocol
	ReasonEventStream     = "event-stream"     // Accept: text/event-stream
	ReasonRule            = "rule"             // a rule with bypass matched
	ReasonAuthorization   = "authorization"    // RFC 9111 §3.5
	ReasonSessionHeader   = "session-header"   // X-Openerp-Session-Id, X-Odoo-Database: they choose what Odoo answers from
	ReasonTarget          = "target"           // the target of the request is no path, or one that servers read differently
	ReasonRequestLimit    = "request-limit"    // a target, field, or number of fields or members over limits.requestBytes or limits.requestFields
	ReasonCookie          = "cookie"           // a cookie that the rule varies by, and servers read differently
	ReasonSession         = "session"          // a session cookie, and the response is not for everybody
	ReasonRequestNoStore  = "request-no-store" // RFC 9111 §5.2.1.5
	ReasonRequestNoCache  = "request-no-cache" // RFC 9111 §5.2.1.4
	ReasonRequestMaxAge   = "request-max-age"  // RFC 9111 §5.2.1.1
	ReasonRequestMinFresh = "request-min-fresh"
	ReasonOnlyIfCached    = "only-if-cached"
	ReasonTenant          = "tenant"           // the request is of no tenant that is known
	ReasonTenantAmbiguous = "tenant-ambiguous" // Host and X-Forwarded-Host are of different tenants
	ReasonTenantLimit     = "tenant-limit"     // more tenants than tenants.max
	ReasonTenantsUnread   = "tenants-unread"   // the list of tenants could not be read yet
	ReasonBody            = "request-body"     // a GET with a body
	ReasonPrecondition    = "precondition"     // If-Match, If-Unmodified-Since: for the origin to decide
	ReasonPrefetch        = "prefetch"         // Sec-Purpose: prefetch of what could change its session
	ReasonKeyLimit        = "key-limit"        // URL or key dimensions over limits.keyBytes
	ReasonCSRFCompleted   = "csrf-completed"   // a form of a stored page got a token of its visitor's session
	ReasonCSRFOrigin      = "csrf-origin"      // a form of a stored page was not sent from this site, and left as it is
	ReasonCSRFToken       = "csrf-no-token"    // a form of a stored page, and Odoo gave no token
	ReasonCSRFLate        = "csrf-late"        // a form over csrf.formBytes whose token was not in that: in several parts it is completed as it passes

	ReasonInternal = "internal-error" // a mistake in the cache itself; the log has it

	// The response.
	ReasonStatus        = "status"         // a status that is not stored
	ReasonFirewall      = "firewall"       // a firewall in between has answered, not the origin
	ReasonPartial       = "partial"        // 206, 304 or 416
	ReasonNoStore       = "no-store"       // RFC 9111 §5.2.2.5
	ReasonPrivate       = "private"        // RFC 9111 §5.2.2.7
	ReasonNoCache       = "no-cache"       // RFC 9111 §5.2.2.4, and no validator
	ReasonAppNoStore    = "app-no-store"   // X-Odoo-Cache: no-store
	ReasonAppHeader     = "app-header"     // X-Odoo-Cache that cannot be read
	ReasonSetCookie     = "set-cookie"     // a cookie that no rule drops or keeps
	ReasonVaryStar      = "vary-star"      // RFC 9111 §4.1
	ReasonVaryCookie    = "vary-cookie"    // one entry for each visitor
	ReasonVaryLimit     = "vary-limit"     // more than limits.varyNames fields
	ReasonNoTTL         = "no-ttl"         // nothing says how long it is fresh
	ReasonExpired       = "expired"        // already stale when it came
	ReasonEnded         = "ended"          // its content was already wrong when it came, by X-Odoo-Cache
	ReasonTooLarge      = "too-large"      // body over maxBody
	ReasonHeaderLimit   = "header-limit"   // headers over limits.headerBytes
	ReasonTruncated     = "truncated"      // shorter or longer than Content-Length
	ReasonNoEnd         = "no-end"         // without Content-Length, and its content does not tell its end
	ReasonTrailer       = "trailer"        // a response with trailers
	ReasonSendfile      = "sendfile"       // X-Accel-Redirect, X-Sendfile: no body of its own
	ReasonRequire       = "require"        // a required response header is missing
	ReasonRefuse        = "refuse"         // a refused response header is there
	ReasonTagSyntax     = "tag-syntax"     // a tag header that cannot be read
	ReasonTagLimit      = "tag-limit"      // more or longer tags than limits allow
	ReasonCSRF          = "csrf-token"     // the body holds a visitor's CSRF token, and csrf.mode or its coding forbid to take it out
	ReasonContext       = "context"        // rendered for other visitors than this one, by the addon's header and cookie
	ReasonCoding        = "content-coding" // HTML or JSON in a coding that cannot be read here
	ReasonPersonal      = "personal"       // the body belongs to a signed-in visitor or a cart
	ReasonCountry       = "country"        // Odoo rendered it for the visitor's country, which is not in the key
	ReasonPurged        = "purged"         // a purge passed while it was rendered
	ReasonPanic         = "origin-aborted" // the origin's answer broke off
	ReasonTimeout       = "origin-timeout" // the origin took longer than limits.fetchTimeout
	ReasonRedirect      = "redirect"       // it leads elsewhere than to the page, its language or its module
	ReasonElsewhere     = "not-shared"     // another process has just had an answer that is not for others
	ReasonAdmission     = "admission"      // nobody has asked for it before, and what such pages may take is taken
	ReasonVariantFailed = "variant-failed" // the variant list could not be written

	// The storage.
	ReasonStoreError   = "store-error"   // an error or timeout of the storage
	ReasonBreakerOpen  = "breaker-open"  // the breaker is open: the storage is not asked
	ReasonStoreCorrupt = "store-corrupt" // bytes that are no entry
	ReasonForeign      = "store-foreign" // an entry of another tenant or key
	ReasonStoreKey     = "store-key"     // an encrypted entry for which there is no key
	ReasonStorePlain   = "store-plain"   // an entry that is not encrypted, though all have to be
	ReasonPurgePending = "purge-pending" // a purge waits to be written
	ReasonQuota        = "quota"         // what the tenant may take of Redis is taken, and its older pages did not make room
)
