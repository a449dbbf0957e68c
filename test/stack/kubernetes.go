package stack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/odoocache/odoocache/test/site"
)

// KubernetesAPI answers what Traefik's providers ask of an API server: lists of objects, and
// watches in which nothing happens. It has the objects that it is given and knows nothing of
// their kinds, so it refuses none. It returns its address.
func KubernetesAPI(t *testing.T, objects []site.Options) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		group, plural := strings.Join(parts[1:len(parts)-1], "/"), parts[len(parts)-1] // /apis/<group>/<version>/<plural>
		var found []site.Options
		for _, o := range objects {
			if o["apiVersion"] == group && strings.EqualFold(fmt.Sprint(o["kind"], "s"), plural) {
				found = append(found, o)
			}
		}
		rw.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(rw)
		version := site.Options{"resourceVersion": "1"}
		if r.URL.Query().Get("watch") == "" {
			if found == nil {
				found = []site.Options{}
			}
			_ = e.Encode(site.Options{"apiVersion": group, "kind": "List", "metadata": version, "items": found})
			return
		}
		if r.URL.Query().Get("sendInitialEvents") == "true" {
			for _, o := range found {
				_ = e.Encode(site.Options{"type": "ADDED", "object": o})
			}
			_ = e.Encode(site.Options{"type": "BOOKMARK", "object": site.Options{
				"apiVersion": group, "kind": kindOf(plural),
				"metadata": site.Options{"resourceVersion": "1", "annotations": site.Options{"k8s.io/initial-events-end": "true"}},
			}})
		}
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// kindOf is the kind of what Traefik asks for by this name.
func kindOf(plural string) string {
	for _, kind := range []string{
		"IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "Middleware", "MiddlewareTCP", "ServersTransport", "ServersTransportTCP",
		"TLSOption", "TLSStore", "TraefikService", "Service", "EndpointSlice", "ConfigMap", "Secret", "Node", "Namespace",
	} {
		if strings.EqualFold(kind+"s", plural) {
			return kind
		}
	}
	return ""
}
