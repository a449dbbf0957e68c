package odoo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/test/site"
)

// TestOdooTenants: one Odoo with two databases that it takes by the host (dbfilter), and one
// middleware that tells tenants by the same hosts. Each database has its pages, its purges and its
// websites; what is of none is not stored.
func TestOdooTenants(t *testing.T) {
	o := odooFrom(t, "ODOO_TENANTS")
	list, err := json.Marshal(site.Options{
		"acme":   site.Options{"hosts": []string{"acme.brands.example"}}, // its second website, whose first label is the database, too
		"globex": site.Options{},
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "tenants.json")
	require.NoError(t, os.WriteFile(file, list, 0o600))
	e := o.Behind(t, site.Options{
		"tenant":  "default",
		"tenants": site.Options{"file": file, "hosts": []string{"{tenant}.shops.example"}},
	})
	const acme, second, globex = "acme.shops.example", "acme.brands.example", "globex.shops.example"
	at := func(db string) *Site {
		there := *o
		there.db = db
		return &there
	}
	for db, host := range map[string]string{"acme": acme, "globex": globex} {
		admin := at(db).Visitor(t, host)
		admin.SignIn("admin")
		websites := admin.read("website", nil, "id")
		require.GreaterOrEqual(t, len(websites), 2)
		domains := []string{"http://" + host, "http://" + db + ".brands.example"}
		for i, w := range websites[:2] {
			id, _ := w["id"].(float64)
			admin.change("website", int(id), "domain", domains[i])
			admin.change("website", int(id), "name", fmt.Sprintf("%s number %d", db, i+1))
		}
	}
	ask := func(host string) site.Reply {
		t.Helper()
		got, err := site.Send(http.MethodGet, e.URL+"/shop", "", site.Fields("Host: "+host))
		require.NoError(t, err)
		return got
	}
	shows := map[string]string{acme: "acme number 1", second: "acme number 2", globex: "globex number 1"}
	for host, name := range shows {
		first := ask(host)
		require.Contains(t, first.CacheStatus(), "stored", "%s: %d", host, first.Status)
		again := ask(host)
		require.Contains(t, again.CacheStatus(), "; hit", host)
		for _, page := range []string{first.Body, again.Body} {
			for _, other := range shows {
				assert.Equal(t, other == name, strings.Contains(page, other), "%s: %s", host, other)
			}
		}
	}
	for _, spelling := range []string{"www." + acme, acme + ":8080"} { // Odoo takes ACME for another database, and browsers write acme
		assert.Contains(t, ask(spelling).Body, "acme number 1", spelling)
		assert.NotContains(t, ask(spelling).CacheStatus(), "tenant", spelling)
		assert.Contains(t, ask(spelling).CacheStatus(), "; hit", spelling)
	}
	for _, host := range []string{"initech.shops.example", "elsewhere.example"} {
		for i := 0; i < 2; i++ {
			got := ask(host)
			assert.Equal(t, "odoocache; fwd=bypass; detail=tenant", got.CacheStatus(), host)
			assert.NotContains(t, got.Body, "number 1", "Odoo has no database for %s", host)
		}
	}

	purge := func(host, whose string) int {
		got, err := site.Send(http.MethodPost, e.URL+"/.odoocache/purge", `{"all":true}`,
			site.Fields("Host: "+host, "Authorization: Bearer "+config.TenantSecret(site.TraefikSecret, whose)))
		require.NoError(t, err)
		return got.Status
	}
	assert.Equal(t, http.StatusForbidden, purge(globex, "acme"))
	assert.Equal(t, http.StatusNotFound, purge("initech.shops.example", "acme"))
	require.Equal(t, http.StatusOK, purge(second, "acme"))
	assert.NotContains(t, ask(acme).CacheStatus(), "; hit", "all websites of a database are one tenant")
	assert.NotContains(t, ask(second).CacheStatus(), "; hit")
	assert.Contains(t, ask(globex).CacheStatus(), "; hit")
}
