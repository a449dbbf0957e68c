package traefik_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	bignum "math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// inside is the chapter of the documents that these tests run.
const inside = "## From where Odoo is"

// snippets are the blocks of a language in the chapter of a page that begins with a heading.
func snippets(t *testing.T, heading, language string) []string {
	t.Helper()
	_, page := site.DocumentWith(t, "\n"+heading+"\n")
	_, chapter, _ := strings.Cut(page, "\n"+heading+"\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var found []string
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(chapter, -1) {
		found = append(found, block[1])
	}
	require.NotEmpty(t, found, heading)
	return found
}

// documentsOf decodes the documents of a snippet.
func documentsOf(t *testing.T, snippet string) (all []site.Options) {
	t.Helper()
	for _, text := range strings.Split(snippet, "\n---\n") {
		var o map[string]interface{}
		require.NoError(t, yaml.Unmarshal([]byte(text), &o), text)
		all = append(all, o)
	}
	return all
}

// at follows names into what has been decoded.
func at(t *testing.T, node interface{}, names ...string) interface{} {
	t.Helper()
	for _, name := range names {
		switch m := node.(type) {
		case site.Options:
			node = m[name]
		case map[string]interface{}:
			node = m[name]
		default:
			require.Fail(t, "no "+name)
		}
	}
	require.NotNil(t, node, "%v", names)
	return node
}

func listOf(t *testing.T, node interface{}, names ...string) (all []string) {
	t.Helper()
	for _, item := range at(t, node, names...).([]interface{}) {
		all = append(all, fmt.Sprint(item))
	}
	return all
}

// flagsOf writes Traefik's static configuration as flags.
func flagsOf(prefix string, node interface{}) (flags []string) {
	m, ok := node.(map[string]interface{})
	if !ok {
		return []string{fmt.Sprintf("%s=%v", prefix, node)}
	}
	if len(m) == 0 {
		return []string{prefix + "=true"}
	}
	for name, child := range m {
		flags = append(flags, flagsOf(prefix+"."+name, child)...)
	}
	return flags
}

// entered are the entry points of flags.
type entered struct {
	flags  []string
	places map[string]string // by the port that the documents give them: where they are here
}

var entryPoint = regexp.MustCompile(`^--entryPoints\.(\w+)\.address=:(\d+)$`)

// enter gives the entry points ports that are free. The one called web is another one in
// these tests, by which they see that Traefik is ready.
func enter(t *testing.T, flags []string) entered {
	t.Helper()
	e := entered{places: map[string]string{}}
	for _, flag := range flags {
		if m := entryPoint.FindStringSubmatch(flag); m != nil {
			e.places[m[2]] = stack.FreeAddress(t)
			flag = fmt.Sprintf("--entryPoints.%s.address=%s", m[1], e.places[m[2]])
		}
		e.flags = append(e.flags, strings.Replace(flag, "--entryPoints.web.", "--entryPoints.outside.", 1))
	}
	return e
}

// sent sends a purge of everything as the addon does, with its settings, and returns what
// its log would say.
func sent(t *testing.T, places map[string]string, settings ...string) []string {
	t.Helper()
	args := []string{source.Path("test", "traefik", "testdata", "send.py"), source.Path("odoo", "addons", "odoocache")}
	for name, place := range places {
		args = append(args, name+"="+place)
	}
	c := exec.Command("python3", args...)
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PYTHONDONTWRITEBYTECODE=1", "ODOOCACHE_SECRET=" + site.TraefikSecret}, settings...)
	var problems bytes.Buffer
	c.Stderr = &problems
	out, err := c.Output()
	require.NoError(t, err, problems.String())
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func needPython(t *testing.T) {
	t.Helper()
	stack.NeedTraefik(t)
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3 on the PATH")
	}
}

// purges checks that a purge with these settings empties the cache of a shop: shop.example, at
// this address of a Traefik.
func purges(t *testing.T, p *stack.Traefik, places map[string]string, settings ...string) {
	t.Helper()
	status := func() string { return p.Get("/shop").CacheStatus() }
	p.Until("the shop is in the cache", func() bool { return strings.Contains(status(), "; hit") })
	assert.Equal(t, []string{"done"}, sent(t, places, settings...))
	assert.Contains(t, status(), "fwd=uri-miss")
}

// untilRouted waits until a Traefik has a router for the control endpoint of a host.
func untilRouted(p *stack.Traefik, host, address string) {
	p.T.Helper()
	p.Until("the control endpoint of "+host+" has a router", func() bool {
		r, err := site.Send(http.MethodGet, "http://"+address+"/.odoocache/status", "", site.Fields("Host: "+host))
		return err == nil && r.Status != http.StatusNotFound
	})
}

// hostAt names where a host is found, by port.
func hostAt(host string, e entered) map[string]string {
	places := map[string]string{}
	for port, address := range e.places {
		places[host+":"+port] = address
	}
	return places
}

// settingsIn reads settings of a shell's lines: without the remarks.
func settingsIn(snippet string) (settings []string) {
	for _, line := range strings.Split(strings.TrimSpace(snippet), "\n") {
		line, _, _ = strings.Cut(line, " #")
		settings = append(settings, strings.TrimSpace(line))
	}
	return settings
}

// TestInsideRecipes runs what the documents say of purges from where Odoo is, taken from there,
// with the shop as the documents have it.
func TestInsideRecipes(t *testing.T) {
	needPython(t)
	server := stack.StartRedis(t)
	t.Setenv("PURGE_SECRET", site.TraefikSecret)
	origin := stack.NewBackend(t, site.Page("a page", "Content-Type: text/html"))
	u, err := url.Parse(origin.URL)
	require.NoError(t, err)
	recipes := snippets(t, inside, "yaml")
	require.Len(t, recipes, 3, "files, labels, Kubernetes")
	local := strings.NewReplacer("127.0.0.1:6379", server.Address, "redis:6379", server.Address, "redis.shop.svc:6379", server.Address,
		"http://127.0.0.1:8069", origin.URL, "loadBalancer.server.port=8069", "loadBalancer.server.port="+u.Port())

	t.Run("files", func(t *testing.T) {
		parts := documentsOf(t, recipes[0])
		e := enter(t, flagsOf("--entryPoints", at(t, parts[0], "entryPoints")))
		_, shop, _ := strings.Cut(local.Replace(snippets(t, "## File provider", "yaml")[0]), "\n---\n")
		_, purge, _ := strings.Cut(recipes[0], "\n---\n")
		p := stack.StartTraefik(t, shop, e.flags...)
		p.Write("purge.yml", purge)
		untilRouted(p, "traefik", e.places["8082"])
		purges(t, p, hostAt("traefik", e), "ODOOCACHE_EDGE_URL=http://traefik:8082")
	})

	t.Run("files, without Redis", func(t *testing.T) {
		e := enter(t, flagsOf("--entryPoints", at(t, documentsOf(t, recipes[0])[0], "entryPoints")))
		_, shop, _ := strings.Cut(local.Replace(snippets(t, "## File provider", "yaml")[0]), "\n---\n")
		alone := regexp.MustCompile(`(?m)^ *redis: .*\n`).ReplaceAllString(shop, "")
		require.NotEqual(t, shop, alone)
		_, purge, _ := strings.Cut(recipes[0], "\n---\n")
		p := stack.StartTraefik(t, alone, e.flags...)
		p.Write("purge.yml", purge)
		untilRouted(p, "traefik", e.places["8082"])
		purges(t, p, hostAt("traefik", e), "ODOOCACHE_EDGE_URL=http://traefik:8082")
	})

	t.Run("labels", func(t *testing.T) {
		recipe := documentsOf(t, recipes[1])[0]
		e := enter(t, listOf(t, recipe, "services", "traefik", "command"))
		shop := documentsOf(t, local.Replace(snippets(t, "## Docker labels", "yaml")[0]))[0]
		labels := map[string]string{}
		for _, label := range append(listOf(t, shop, "services", "odoo", "labels"), listOf(t, recipe, "services", "odoo", "labels")...) {
			name, value, _ := strings.Cut(label, "=")
			labels[name] = strings.ReplaceAll(value, "$$", "$")
		}
		docker := fakeDocker(t, labels, u.Hostname())
		p := stack.StartTraefik(t, "{}", append(e.flags, "--providers.docker.exposedByDefault=false",
			"--providers.docker.endpoint=tcp://"+docker, "--providers.docker.watch=false")...)
		purges(t, p, hostAt("traefik", e), "ODOOCACHE_EDGE_URL="+fmt.Sprint(at(t, recipe, "services", "odoo", "environment", "ODOOCACHE_EDGE_URL")))
	})

	t.Run("Kubernetes", func(t *testing.T) {
		objects := append(documentsOf(t, local.Replace(snippets(t, "## Middleware and route", "yaml")[0])), documentsOf(t, recipes[2])...)
		port, err := strconv.Atoi(u.Port())
		require.NoError(t, err)
		odoo := site.Options{"name": "odoo", "namespace": "shop", "labels": site.Options{"kubernetes.io/service-name": "odoo"}}
		objects = append(objects,
			site.Options{"apiVersion": "v1", "kind": "Service", "metadata": odoo, "spec": site.Options{"ports": []site.Options{{"port": 8069}}}},
			site.Options{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": odoo, "addressType": "IPv4",
				"ports":     []site.Options{{"name": "", "port": port}},
				"endpoints": []site.Options{{"addresses": []string{u.Hostname()}, "conditions": site.Options{"ready": true}}}},
			site.Options{"apiVersion": "v1", "kind": "Secret", "metadata": site.Options{"name": "odoocache", "namespace": "shop"},
				"data": site.Options{"purge": base64.StdEncoding.EncodeToString([]byte(site.TraefikSecret))}},
		)
		_, page := site.DocumentWith(t, "\n"+inside+"\n")
		e := enter(t, regexp.MustCompile(`--entryPoints\.inside\.address=:\d+`).FindAllString(page, 1))
		secure := stack.FreeAddress(t)
		e.flags = append(e.flags, "--entryPoints.websecure.address="+secure,
			"--providers.kubernetesCRD.endpoint="+stack.KubernetesAPI(t, objects), "--providers.kubernetesCRD.token=t")
		p := stack.StartTraefik(t, "{}", e.flags...)
		p.TLS = "https://" + secure
		status := func() string { return secureGet(t, p, "/shop").CacheStatus() }
		p.Until("the shop is in the cache", func() bool { return strings.Contains(status(), "; hit") })
		address := regexp.MustCompile("ODOOCACHE_EDGE_URL=http://traefik-inside[a-z.-]+").FindString(page)
		host := strings.TrimPrefix(address, "ODOOCACHE_EDGE_URL=http://")
		assert.Equal(t, []string{"done"}, sent(t, map[string]string{host + ":80": e.places["8082"]}, address))
		assert.Contains(t, status(), "fwd=uri-miss")
	})

	t.Run("under the shop's name", func(t *testing.T) {
		settings := settingsIn(snippets(t, inside, "sh")[0])
		require.Len(t, settings, 2)
		authority, certificate, key := certificates(t, "shop.example")
		_, shop, _ := strings.Cut(local.Replace(snippets(t, "## File provider", "yaml")[0]), "\n---\n")
		secure := stack.FreeAddress(t)
		p := stack.StartTraefik(t, shop, "--entryPoints.websecure.address="+secure, "--entryPoints.websecure.http.tls=true")
		p.Write("tls.yml", fmt.Sprintf("tls: {certificates: [{certFile: %q, keyFile: %q}]}", certificate, key))
		places := map[string]string{"traefik:443": secure}
		p.Until("the certificate is in place", func() bool { return sent(t, places, append(settings, "SSL_CERT_FILE="+authority)...)[0] == "done" })
		purges(t, p, places, append(settings, "SSL_CERT_FILE="+authority)...)
		assert.Contains(t, sent(t, places, settings...)[0], "no certificate for shop.example that this machine trusts", "the authority is not known")
	})
}

// secureGet sends a GET over TLS.
func secureGet(t *testing.T, p *stack.Traefik, path string) site.Reply {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.TLS+path, nil)
	require.NoError(t, err)
	req.Host = "shop.example"
	resp, err := stack.SecureClient().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	return site.Reply{Status: resp.StatusCode, Header: resp.Header}
}

// certificates makes an authority and a certificate of a name, and returns the paths of both
// and of the key.
func certificates(t *testing.T, name string) (authority, certificate, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(file, kind string, der []byte) string {
		path := filepath.Join(dir, file)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	root := &x509.Certificate{SerialNumber: bignum.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	require.NoError(t, err)
	authority = write("authority.pem", "CERTIFICATE", der)
	leaf := &x509.Certificate{SerialNumber: bignum.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, rootKey)
	require.NoError(t, err)
	certificate = write("certificate.pem", "CERTIFICATE", der)
	der, err = x509.MarshalECPrivateKey(leafKey)
	require.NoError(t, err)
	return authority, certificate, write("key.pem", "EC PRIVATE KEY", der)
}

// TestInsideRefusals: what is wrong with the way from Odoo to the edge, and that the sender is
// told what to do about it.
func TestInsideRefusals(t *testing.T) {
	needPython(t)
	origin := stack.NewBackend(t, site.Page("<html>Odoo's own 404</html>", "Content-Type: text/html"))
	authority, certificate, key := certificates(t, "shop.example")
	dynamic := site.Options{}
	require.NoError(t, json.Unmarshal([]byte(stack.Routed(origin.URL, map[string]site.Options{"shop.example": {"tenant": "shop", "purge": site.Options{"secret": site.TraefikSecret}}})), &dynamic))
	routers := at(t, dynamic, "http", "routers").(map[string]interface{})
	for host, service := range map[string]string{"bare.example": "noop@internal", "odoo.example": "origin", "password.example": "origin", "www.example": "origin"} {
		o := site.Options{"rule": "Host(`" + host + "`)", "entryPoints": []string{"web"}, "service": service}
		if host == "password.example" || host == "www.example" {
			o["middlewares"] = []string{strings.TrimSuffix(host, ".example")}
		}
		routers[strings.ReplaceAll(host, ".", "-")] = o
	}
	routers["purge"] = site.Options{"rule": "Host(`traefik`) && PathPrefix(`/.odoocache`)", "entryPoints": []string{"lenient"}, "service": "noop@internal", "middlewares": []string{"shop-example"}}
	_, page := site.DocumentWith(t, "\n"+inside+"\n")
	priority := strings.Replace(regexp.MustCompile(`--entryPoints\.web\.http\.redirections\.entryPoint\.priority=\d+`).FindString(page), ".web.", ".lenient.", 1)
	require.NotEmpty(t, priority)
	middlewares := at(t, dynamic, "http", "middlewares").(map[string]interface{})
	middlewares["password"] = site.Options{"basicAuth": site.Options{"users": []string{"a:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"}}}
	middlewares["www"] = site.Options{"redirectRegex": site.Options{"regex": "^http://www.example/(.*)", "replacement": "http://shop.example/${1}", "permanent": true}}
	dynamic["tls"] = site.Options{"certificates": []site.Options{{"certFile": certificate, "keyFile": key}}}
	b, err := json.Marshal(dynamic)
	require.NoError(t, err)
	redirecting, lenient := stack.FreeAddress(t), stack.FreeAddress(t)
	p := stack.StartTraefik(t, string(b),
		"--entryPoints.outside.address="+redirecting, "--entryPoints.outside.http.redirections.entryPoint.to=secure",
		"--entryPoints.lenient.address="+lenient, "--entryPoints.lenient.http.redirections.entryPoint.to=secure", priority)
	plain, secure := strings.TrimPrefix(p.URL, "http://"), strings.TrimPrefix(p.TLS, "https://")
	_, nobody, _ := net.SplitHostPort(stack.FreeAddress(t))
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { mute.Close() })
	for _, c := range []struct {
		name, url, host, place string
		want                   []string // what the sender is told, in turn
	}{
		{"no router", "http://traefik", "", plain, []string{"404: Traefik has no router for the host traefik", "set ODOOCACHE_EDGE_HOST", "Host(`traefik`) && PathPrefix(`/.odoocache`)", "From where Odoo is"}},
		{"the shop's name", "http://traefik", "shop.example", plain, []string{"done"}},
		{"the shop's name with a port", "http://traefik:8000", "Shop.example:8443", plain, []string{"done"}},
		{"to TLS", "http://traefik", "shop.example", redirecting, []string{"308: ", "does not follow", "https://", "ODOOCACHE_EDGE_HOST"}},
		{"to another host", "http://www.example", "", plain, []string{"308: the purge is sent on to http://shop.example/.odoocache/purge", "give that host"}},
		{"no middleware", "http://bare.example", "", plain, []string{"418: ", "no odoocache middleware"}},
		{"Odoo itself", "http://odoo.example", "", plain, []string{"200: what answers for odoo.example is not the edge"}},
		{"a password", "http://password.example", "", plain, []string{"401: something in front of the edge asks for a password"}},
		{"plain to TLS", "http://traefik:443", "shop.example", secure, []string{"404: Traefik has no router for the host shop.example", "that takes http://", "with tls takes https:// alone"}},
		{"TLS to plain", "https://traefik:80", "shop.example", plain, []string{"404: Traefik has no router for the host shop.example", "that takes https://"}},
		{"TLS to what speaks none", "https://traefik", "shop.example", strings.TrimPrefix(origin.URL, "http://"), []string{"does not speak TLS as expected"}},
		{"a certificate of another name", "https://traefik", "", secure, []string{"no certificate for traefik", "set ODOOCACHE_EDGE_HOST"}},
		{"the certificate of the shop", "https://traefik", "shop.example", secure, []string{"done"}},
		{"an entry point that redirects after all others", "http://traefik", "", lenient, []string{"done"}},
		{"nobody listens", "http://localhost:" + nobody, "", "", []string{"refused", "nobody listens there", "the container itself"}},
		{"no such name", "http://traefik.invalid", "", "", []string{"nobody knows traefik.invalid", "<service>.<namespace>.svc"}},
		{"no answer", "http://traefik", "", mute.Addr().String(), []string{"no answer within 2 s", "in one network"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			places := map[string]string{}
			if u, _ := url.Parse(c.url); c.place != "" {
				host := u.Host
				if u.Port() == "" {
					host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
				}
				places[host] = c.place
			}
			got := sent(t, places, "ODOOCACHE_EDGE_URL="+c.url, "ODOOCACHE_EDGE_HOST="+c.host, "SSL_CERT_FILE="+authority)[0]
			rest := got
			for _, want := range c.want {
				_, after, found := strings.Cut(rest, want)
				require.True(t, found, "%q is not in %q", want, got)
				rest = after
			}
		})
	}
	t.Run("several edges", func(t *testing.T) {
		got := sent(t, map[string]string{"a:80": plain, "b:80": plain}, "ODOOCACHE_EDGE_URL=http://a http://b", "ODOOCACHE_EDGE_HOST=shop.example")
		assert.Equal(t, []string{"done", "done"}, got)
	})
}
