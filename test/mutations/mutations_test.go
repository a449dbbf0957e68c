package mutations_test

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// mutation is a fault that is put into a copy of the source, and the test that has to
// find it.
type mutation struct {
	name     string
	folder   string // of the source
	old, new string // old is there once
	suite    string // the folder that has the test
	test     string // for go test -run
}

// mutations are faults of the kinds that once were there: each of them lets something of
// one visitor reach another, or lets a client keep a processor busy.
var mutations = []mutation{
	{"nobody looks for signs of a visitor in a page", "cache", "if odoo.Personal(plain) {", "if false {", "test/behaviour", "TestReasons"},
	{"nobody looks for the country in a page", "cache", "	if !rendersByCountry(f, own) {", "	if true {", "test/behaviour", "TestCountries"},
	{"special sessions get what is stored", "cache", `if v.session && v.context == "" && !v.rule.Terms.AnySession && (v.rule.Nobody || !e.Life.Public) {`, "if false {", "test/behaviour", "TestSessionsOfUnknownBirth"},
	{"public lifts the session", "cache", "(v.rule.Nobody || !e.Life.Public)", "!e.Life.Public", "test/behaviour", "TestPublicLiftsNothing"},
	{"a line of the log has the query", "cache", "h.shownPath(r.URL.EscapedPath())", "r.URL.RequestURI()", inTraefik, "TestTraefikTellsNothingPersonal$"},
	{"a session's id is in Redis", "keys", "return ID(\"session \" + id)", "return \"session \" + id", inTraefik, "TestTraefikTellsNothingPersonal$"},
	{"what is erased is left in Redis", "cache/tier", "	if len(ids) > 0 {\n		if err := t.store.Remove", "	if len(ids) > len(found.IDs) {\n		if err := t.store.Remove", "test/behaviour", "TestErase/compiled$"},
	{"a receipt says more than was done", "cache", "	done.Complete = at == \"\"", "	done.Complete = true", "test/behaviour", "TestEraseInParts/compiled$"},
	{"retention is not heeded", "cache", "Most: f.h.s.Retention", "Most: 0", "test/behaviour", "TestRetention/compiled$"},
	{"all tenants are one", "cache/config", "	own.Tenant = m.Name\n", "	own.Tenant = \"all\"\n", "test/behaviour", "TestTricksStayWithTheirTenant/compiled$"},
	{"a host forwarded tells nothing", "cache", "		if other != m && (", "		if false && (", "test/behaviour", "TestTenantsByHost/compiled$"},
	{"whoever is not listed is a tenant", "cache", "	if list == nil {\n		return &config.Member", "	if list == nil || list.Names[name] == nil {\n		return &config.Member", "test/behaviour", "TestTenantsByHost/compiled$"},
	{"a www makes another tenant", "cache/tenant", "for strings.HasPrefix(name, \"www.\") &&", "for false &&", "test/behaviour", "TestTenantsByHost/compiled$"},
	{"the secret of all is each tenant's", "cache/config", "own.Purge.Secret = TenantSecret(s.Purge.Secret, m.Name)", "own.Purge.Secret = s.Purge.Secret", "test/behaviour", "TestTenantsByHeader/compiled$"},
	{"a tenant keeps the secret that it had", "cache", "m != nil && m.Print == at.print", "m != nil", "test/behaviour", "TestTenantsAreReadAgain/compiled$"},
	{"no secret is a former one", "cache", "case given == \"\":", "case false:", "test/behaviour", "TestTwoSecrets"},
	{"two secrets make two of a nonce", "cache", "	return key, h.useNonce(parts[2], at+maxSignatureAge-now)", "	return key, h.useNonce(parts[2]+key, at+maxSignatureAge-now)", "test/behaviour", "TestASecretIsChangedWithoutLosingAPurge"},
	{"a mail address is in the log", "cache", "strings.ContainsAny(plain, \"@＠\") || ", "", "test/behaviour", "TestTheLogTellsNothingPersonal"},
	{"a purge is everybody's", "cache/tier", "head, err := t.store.Purge(n.name, p)", "head, err := t.store.Purge(\"\", p)", "test/behaviour", "TestATenantPurgesItsOwn/compiled$"},
	{"a page need not agree with its visitor's context", "cache", "return len(lines) == 1 && lines[0] == context", "return true", "test/behaviour", "TestContexts"},

	ofFill("a fill has the visitor's header", "for name, lines := range v.r.Header { if out.Header[name] == nil { out.Header[name] = lines } }", "TestPoison/compiled/page$"),
	ofFill("a fill has the visitor's cookies", `out.Header["Cookie"] = v.r.Header["Cookie"]`, "TestPoison/compiled/page$"),
	ofFill("a fill has the visitor's address", "out.RemoteAddr = v.r.RemoteAddr", "TestPoison/compiled/page$"),
	{"a fill has the visitor's context", "cache", "	return fill.Request(ctx, pageOf(v), &fill.Options{EdgeHeader: h.s.EdgeHeader, Edge: h.s.Edge, Address: h.s.Fill.Address})", "	return fill.Request(v.r.Context(), pageOf(v), &fill.Options{EdgeHeader: h.s.EdgeHeader, Edge: h.s.Edge, Address: h.s.Fill.Address})", "test/behaviour", "TestPoison/compiled/page$"},
	ofFill("a fill has the visitor's TLS state", "out.TLS = v.r.TLS", "TestPoison/compiled/page$"),
	ofFill("a fill has the request target as it was sent", "out.RequestURI = v.r.RequestURI", "TestPoison/compiled/page$"),
	ofFill("a fill has the query as it was sent", "out.URL.RawQuery = v.r.URL.RawQuery; out.RequestURI = out.URL.RequestURI()", "TestPoison/compiled/page$"),
	ofFill("a fill has conditions of the visitor", `out.Header["If-Modified-Since"] = v.r.Header["If-Modified-Since"]`, "TestPoison/compiled/page$"),
	ofFill("files are filled with the visitor's request", "if v.rule.Terms.AnySession { out.Header = v.r.Header.Clone() }", "TestPoison/compiled/static_file$"),
	{"what depends on no session is filled for a context", "cache", `		v.context = "" // what`, "		_ = v.context // what", "test/behaviour", "TestWhatDependsOnNoSessionIsOfNoContext/compiled$"},
	ofFill("own rules under a preset fill with the visitor's request", `if v.rule.Name == "own" { out.Header = v.r.Header.Clone() }`, "TestPoison/compiled/own_rule$"),
	ofFill("a refresh has fields of the visitor's request", "for name, lines := range v.r.Header { if out.Header[name] == nil { out.Header[name] = lines } }", "TestPoisonFills/compiled/refresh_of_what_is_stale_memory$"),
	ofFill("an early refresh has fields of the visitor's request", "for name, lines := range v.r.Header { if out.Header[name] == nil { out.Header[name] = lines } }", "TestPoisonFills/compiled/refresh_ahead_of_time_memory$"),
	ofFill("a confirmation has fields of the visitor's request", "for name, lines := range v.r.Header { if out.Header[name] == nil { out.Header[name] = lines } }", "TestPoisonFills/compiled/confirmation_by_304_memory$"),
	ofFill("a leader of a flight has fields of the visitor's request", "for name, lines := range v.r.Header { if out.Header[name] == nil { out.Header[name] = lines } }", "TestPoisonFills/compiled/coalesced_misses_memory$"),
	{"a language that is none gets into the key", "keys", "	if codeShape.MatchString(cookie) {", `	if cookie != "" {`, "keys", "TestUnknownLanguages$"},
	{"fields with _ in their names reach the origin", "cache", `			delete(in, name)
`, `			_ = name
`, "test/behaviour", "TestFoldedFields/compiled$"},
	{"encoded slashes are no bypass", "cache", `	case v.id.odd || v.target.Path == ""`, `	case v.target.Path == ""`, "test/behaviour", "TestPathsAsOdooRoutesThem/compiled$"},
	ofFill("pages of context 0 are filled with a session", `if v.context == "0" { out.Header["Cookie"] = v.r.Header["Cookie"] }`, "TestDeception/compiled/addon,_misjudged$"),
	{"a body's words tell the country", "cache/odoo", "func Head(body []byte) []byte {\n", "func Head(body []byte) []byte {\n	if true {\n		return body\n	}\n", "test/behaviour", "TestCountrySignInContent/compiled$"},
	{"fields of fill.headers are left out of one key", "cache", "		if !hasName(keyed, name) {", "		if true {", "test/behaviour", "TestAFillHeaderThatIsUsual"},
	{"what is given heeds no Vary", "cache", "rw != nil && (reason != \"\" || !meant(f))", "rw != nil && reason != \"\"", "test/behaviour", "TestGivenAnswersVary"},
	{"a page for a country may show an address", "cache", " || showsAddress(v, body)", "", "test/behaviour", "TestAPageWithAnAddress"},
	{"evidence counts whatever has changed since", "cache/storage", "	if score-score%ScoreUnit != was-was%ScoreUnit || ", "	if false && score-score%ScoreUnit != was-was%ScoreUnit || ", "test/behaviour", "TestASessionThatTheAddonKnows/compiled"},
	{"a session is not marked again before the answer", "cache", "		if !changedNothing(h, t.v, status, header) {", "		if false {", "test/behaviour", "TestEvidenceOfAnotherTime/compiled"},
	{"a route is trusted at once", "cache", "t.settled < trustAfter", "t.settled < 0", "test/behaviour", "TestARouteIsTrustedThatChangesNothing/compiled"},
	{"a route is trusted that sets the session's cookie", "cache", " || policy.CookieLeft(header[\"Set-Cookie\"], v.rule.Terms) {", " {", "test/behaviour", "TestARouteThatSetsTheCookieIsNotTrusted/compiled"},
	{"any two pages are the same", "cache/odoo", "return bytes.Equal(withoutTokens(one), withoutTokens(other))", "return len(one) > 0 && len(other) > 0", "test/behaviour", "TestDoubtIsSettledByEvidence/compiled"},
	{"what is known to change pages is a doubt", "cache", "	markAll(h, v, v.rule.MarksSession)", "	markAll(h, v, false)", "test/behaviour", "TestDoubtIsSettledByEvidence/compiled"},
	{"evidence of one rule is for all", "cache", "	if e.begins && odoo.HasHeader(own) {", "	if odoo.HasHeader(own) {", "test/behaviour", "TestDoubtIsSettledByEvidence/compiled"},
	{"a page without a header settles a session of unknown birth", "cache", " && odoo.HasHeader(own) {", " {", "test/behaviour", "TestASessionOfUnknownBirthIsSettledByOnePage/compiled"},
	{"a call of the mail store is not read", "cache/odoo", "		if !reads[nameOf(names[i])] {", "		if false {", "cache/odoo", "TestOnlyReads"},
	{"what is marked here is still remembered", "cache/tier", "	forgetSessions(t, n, sessions) // last", "	_ = forgetSessions // last", "cache/tier", "TestASessionIsAskedForOnce"},
	{"what is marked elsewhere is still remembered", "cache/purges", "		s.forget(c.Sessions[i])", "		_ = c.Sessions[i]", "cache/tier", "TestASessionIsAskedForOnce"},
	{"marks are told to nobody", "cache/storage/redis", "    ends(ARGV[i], score)\n", "", "cache/storage/redis", "TestRedis/changes_of_sessions"},
	{"lost changes go unnoticed", "cache/storage/redis", "	if epoch != c.At.Epoch {", "	if false {", "cache/storage/redis", "TestChangesLost"},
	{"a glance outlives what is known of the session", "cache", "now >= atomic.LoadInt64(g.until) || ", "", "test/behaviour", "TestSessionHitAsksNothing/compiled"},
	{"an encrypted entry opens in any place", "cache/storage", "	if words[3] != id {", "	if false {", "cache/storage", "TestSealedElsewhere"},
	{"an entry in clear is taken where all are encrypted", "cache/storage", "		return nil, fmt.Errorf(\"%w: %w\", ErrCorrupt, ErrPlain)", "		return Decode(b)", "test/behaviour", "TestNoWayBackToClearText/compiled"},
	{"entries are stored in clear", "cache/storage/redis", "	return storage.Seal(seal.KeysOf(s.ring, tenant), tenant, id, e)", "	return storage.Encode(e)", "test/behaviour", "TestRedisHoldsNothingInClear/compiled"},
	{"prefixes of purges are in clear", "cache/storage/redis", "		if !isPrefix(out[i]) {", "		if true {", "test/behaviour", "TestRedisHoldsNothingInClear/compiled"},
	{"a purge without a key purges nothing", "cache/storage/redis", "			} else if seq > d.Floor {", "			} else if false {", "cache/storage/redis", "TestEncryptedMarks"},
	{"tenants share a key", "cache/seal", "\"odoocache tenant \"+tenant", "\"odoocache tenant \"", "cache/seal", "TestRing"},
	{"a tenant's own key is no part of its key", "cache/seal", "Derive(r.files[i], []byte(own), ", "Derive(r.files[i], nil, ", "cache/seal", "TestRing"},
	{"what is ready outlives the tenant's key", "cache", "		n.Distrust()\n", "		_ = n\n", "test/behaviour", "TestATenantIsErased/compiled"},
	{"a key that changes in its file is not read", "cache/config", "	files = append(files, trimmed(keys)...)", "	_ = keys", "cache/config", "TestKeysAreReadAgain"},
	{"an encrypted body is given as it is", "cache", "		return storage.Opened(s, stored)\n", "		return stored\n", "test/behaviour", "TestRedisHoldsNothingInClear/compiled"},
	{"nobody looks at the length of fields", "cache", "if len(lines) == 1 && len(lines[0]) <= short {", "if true {", "test/bench/cost", "TestCost"},
	{"nobody counts the members of fields", "cache", "return n >= fields", "return false", "test/bench/cost", "TestCost"},
	{"the first tenant gives way, not the one with the most", "cache/storage/memory", "	for child := 2*at + 1; child < len(s.heap); child = 2*at + 1 {", "	for child := len(s.heap); child < len(s.heap); child = 2*at + 1 {", "cache/storage/memory", "TestTheLargestGivesWay"},
	{"all tenants have one list", "cache/storage/memory", "	own := s.laneFor(e.Tenant)\n	if most := ", "	own := s.laneFor(\"\")\n	if most := ", "cache/tier", "TestAMillionAddresses"},
	{"a tenant's quota of memory is not looked at", "cache/storage/memory", "	for s.lanes[own].entries > 0 && s.over(own, bytes, entries) {", "	for false {", "test/behaviour", "TestATenantsMemory/compiled"},
	{"a page that is used goes for one that nobody asked for", "cache/storage/memory", " && !used(&s.slots[s.next(&s.lanes[top])])", "", "cache/storage/memory", "TestRoomOfAnother"},
	{"what the server has evicted is counted for good", "cache/storage/redis", "    if redis.call('EXISTS', base .. some[i]) == 0 then", "    if false then", "cache/storage/redis", "TestALedgerHeals"},
	{"a page that is replaced counts twice", "cache/storage/redis", "used = used - own\n", "", "cache/storage/redis", "TestALedgerHeals"},
	{"a quota of Redis is not looked at", "cache/storage/redis", "	if l := ledgerOf(s, tenant); l != nil {", "	if l := ledgerOf(s, tenant); false {", "cache/storage/redis", "TestAQuotaBounds"},
	{"a purge by request has no rate", "cache", "r.asked.wait(h.s.Quota.Purges, storage.Ticks())", "r.asked.wait(0, storage.Ticks())", "test/behaviour", "TestARateOfPurges/compiled"},
	{"a purge of an answer over the rate is dropped", "cache", "	b.add(p, h.s.Limits.Purge.Tags)\n", "", "test/behaviour", "TestPurgesOfAnswersAreNeverLost/compiled"},
	{"an answer does not wait for its purge", "cache", "		<-b.done\n", "		return nil\n", "test/behaviour", "TestPurgesOfAnswersAreNeverLost/compiled"},
	{"one tenant may have all refreshes", "cache/flight", " || !s.Alone && has >= left", "", "test/behaviour", "TestOneTenantsRefreshesLeaveOthersTheirs/compiled"},
	{"nobody looks at the number of parameters", "cache", `|| strings.Count(u.RawQuery, "&") >= h.s.Limits.QueryParams`, "", "test/behaviour", "TestReasons/too_many_parameters"},
}

// ofFill is a fault of the request that fills the cache: code that changes it, as out, by
// what is known of the visit that it is made for.
func ofFill(name, code, test string) mutation {
	const made = "fill.Request(ctx, pageOf(v), &fill.Options{EdgeHeader: h.s.EdgeHeader, Edge: h.s.Edge, Address: h.s.Fill.Address})"
	return mutation{name, "cache", "\treturn " + made, "\tout := " + made + "\n\t" + code + "\n\treturn out", "test/behaviour", test}
}

// inTraefik is the suite whose tests need a Traefik.
const inTraefik = "test/traefik"

// TestMutations puts each fault into a copy of this repository, and runs the test that
// has to find it there. The same test passes without the fault.
func TestMutations(t *testing.T) {
	site.NeedLong(t, "test-mutations")
	passes := map[string]bool{}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			if m.suite == inTraefik {
				stack.NeedTraefik(t)
			}
			known, found := passes[m.test]
			if !found {
				out, failed := runCopy(t, nil, m.suite, m.test)
				known = !failed
				passes[m.test] = known
				assert.False(t, failed, "without the fault:\n%s", stack.Tail(out, 20))
			}
			if !known {
				t.Skip("the test fails without the fault")
			}
			out, failed := runCopy(t, &m, m.suite, m.test)
			assert.True(t, failed, "%s does not find it:\n%s", m.test, stack.Tail(out, 5))
		})
	}
}

// TestEachFaultFits: what a fault replaces is there once. Unlike TestMutations this takes no time.
func TestEachFaultFits(t *testing.T) {
	for _, m := range mutations {
		_, err := source.FileWith(source.Path(m.folder), m.old)
		assert.NoError(t, err, m.name)
	}
}

// runCopy runs a test in a copy of this repository with a fault in it. It reports whether
// the test failed; one that cannot be run, or does not exist, ends this test.
func runCopy(t *testing.T, m *mutation, suite, test string) (out string, failed bool) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, source.CopyAll(dir))
	if m != nil {
		require.NoError(t, source.Edit(filepath.Join(dir, m.folder), m.old, m.new))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	parts := strings.Split(test, "/")
	for i, part := range parts {
		parts[i] = "^" + strings.TrimSuffix(strings.ReplaceAll(part, ".", `\.`), "$") + "$"
	}
	args := []string{"test", "-v", "-count=1", "-run", strings.Join(parts, "/"), "./" + suite}
	if suite != inTraefik {
		args = append(args, "-short")
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	out = b.String()
	require.Contains(t, out, "=== RUN   "+parts[0][1:len(parts[0])-1], "the test was run: %s", out)
	require.NotContains(t, out, "[build failed]")
	return out, err != nil && strings.Contains(out, "--- FAIL: ")
}
