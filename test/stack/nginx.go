package stack

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// StartNginx runs an nginx that hands requests on to an origin, and returns its URL. more are
// lines of its server block, such as "gzip on;".
func StartNginx(t *testing.T, origin, more string) string {
	t.Helper()
	NeedTraefik(t)
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx" // which the path of others than root may lack
	}
	if _, err = os.Stat(binary); err != nil {
		t.Skip("nginx is not installed")
	}
	dir, address := t.TempDir(), FreeAddress(t)
	conf := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(conf, []byte(fmt.Sprintf(nginxConf, dir, address, more, origin)), 0o600))
	cmd := exec.Command(binary, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	require.NoError(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(Patience):
			_ = cmd.Process.Kill()
			<-done
		}
	})
	url := "http://" + address
	require.Eventually(t, func() bool {
		r, err := http.Get(url + "/-/alive")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusNoContent
	}, Patience, 20*time.Millisecond, "nginx does not answer")
	return url
}

// nginxConf has the folder, the address, lines of the server block, and the origin.
const nginxConf = `
daemon off;
worker_processes 1;
pid nginx.pid;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	types { text/html html; }
	server {
		listen %[2]s;
		%[3]s
		location = /-/alive { return 204; }
		location / {
			proxy_pass %[4]s;
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-Host $http_x_forwarded_host;
		}
	}
}
`
