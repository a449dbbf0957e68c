package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The markers. A token's marker is as long as a token, so that a page's length
// stays what it was.
const (
	markerToken   = "{{csrf_token_____________________________________}}"
	markerSession = "{{session_id}}"
	markerDate    = "{{date}}"
	markerBase    = "{{base}}"
)

var (
	tokenRe   = regexp.MustCompile(`[0-9a-f]{40}o[0-9]{10}`)
	sessionRe = regexp.MustCompile(`^(session_id=)[A-Za-z0-9_-]+`)
	dateRe    = regexp.MustCompile(`[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT`)
	markerRe  = regexp.MustCompile(`\{\{(csrf_token|session_id|date|start|base)`)
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 8 << 20

type client struct {
	base    string // scheme and host, without a slash at the end
	url     *url.URL
	timeout time.Duration
}

func newClient(base string, timeout time.Duration) (*client, error) {
	base = strings.TrimRight(base, "/")
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" {
		return nil, fmt.Errorf("base %q is not scheme://host[:port]", base)
	}
	return &client{base: base, url: u, timeout: timeout}, nil
}

// An answer is one response, its head line by line as it came.
type answer struct {
	status int
	head   []string
	body   []byte
	took   time.Duration
}

// fetch sends one request over a connection of its own.
func (c *client) fetch(method, path, contentType, body string) (*answer, error) {
	addr := c.url.Host
	if c.url.Port() == "" {
		addr = net.JoinHostPort(c.url.Hostname(), c.url.Scheme)
	}
	var req strings.Builder
	fmt.Fprintf(&req, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, c.url.Host)
	req.WriteString("User-Agent: Mozilla/5.0 (capture)\r\nAccept: */*\r\nConnection: close\r\n")
	if contentType != "" {
		fmt.Fprintf(&req, "Content-Type: %s\r\n", contentType)
	}
	if body != "" || (method != http.MethodGet && method != http.MethodHead) {
		fmt.Fprintf(&req, "Content-Length: %d\r\n", len(body))
	}
	req.WriteString("\r\n" + body)

	begin := time.Now()
	conn, err := net.DialTimeout("tcp", addr, c.timeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(begin.Add(c.timeout)); err != nil {
		return nil, err
	}
	if c.url.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: c.url.Hostname(), MinVersion: tls.VersionTLS12})
	}
	if _, err := io.WriteString(conn, req.String()); err != nil {
		return nil, err
	}
	a, err := readAnswer(conn, method)
	if err != nil {
		return nil, err
	}
	a.took = time.Since(begin)
	return a, nil
}

// readAnswer reads one answer up to its last byte. It does not wait for the end
// of the connection, which comes later: Odoo's worker tidies up first.
func readAnswer(r io.Reader, method string) (*answer, error) {
	var raw bytes.Buffer
	br := bufio.NewReader(io.TeeReader(io.LimitReader(r, maxAnswer), &raw))
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	head, _, ok := strings.Cut(raw.String(), "\r\n\r\n")
	if !ok {
		return nil, errors.New("the answer's head does not end in an empty line")
	}
	if raw.Len() == maxAnswer {
		return nil, errors.New("the answer is too long")
	}
	return &answer{status: res.StatusCode, head: strings.Split(head, "\r\n"), body: body}, nil
}

// header returns the first value of the header name.
func (a *answer) header(name string) string {
	for _, line := range a.head[1:] {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// message returns the answer with markers for all that belongs to the capture.
func (a *answer) message(base string) ([]byte, error) {
	if markerRe.Match(a.body) || markerRe.MatchString(strings.Join(a.head, "\n")) {
		return nil, errors.New("the answer holds a marker already")
	}
	now, err := http.ParseTime(a.header("Date"))
	if err != nil {
		return nil, fmt.Errorf("the Date header: %w", err)
	}
	var out bytes.Buffer
	out.WriteString(a.head[0] + "\r\n")
	for _, line := range a.head[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("bad header line %q", line)
		}
		switch strings.ToLower(name) {
		case "content-length", "transfer-encoding":
			continue
		}
		value = relativeTimes(name, strings.TrimSpace(value), now)
		if strings.EqualFold(name, "Set-Cookie") {
			value = sessionRe.ReplaceAllString(value, "${1}"+markerSession)
		}
		out.WriteString(name + ": " + strings.ReplaceAll(value, base, markerBase) + "\r\n")
	}
	out.WriteString("\r\n")

	body := a.body
	if isText(a.header("Content-Type")) {
		body = tokenRe.ReplaceAll(body, []byte(markerToken))
		body = bytes.ReplaceAll(body, []byte(base), []byte(markerBase))
		_, host, _ := strings.Cut(base, "://")
		if i := bytes.Index(body, []byte(host)); i >= 0 {
			return nil, fmt.Errorf("the host is left in the body at byte %d", i)
		}
	}
	out.Write(body)
	return out.Bytes(), nil
}

// relativeTimes replaces the times in a header's value: what is made for each
// answer is counted from the answer's Date, what belongs to the resource
// (Last-Modified) from the replay's start. Offsets are rounded to ten seconds,
// since Odoo's clock may tick between two headers of one answer.
func relativeTimes(name, value string, now time.Time) string {
	anchor := "date"
	if strings.EqualFold(name, "Last-Modified") {
		anchor = "start"
	}
	return dateRe.ReplaceAllStringFunc(value, func(s string) string {
		t, err := http.ParseTime(s)
		if err != nil {
			return s
		}
		offset := int64(t.Sub(now).Round(10*time.Second) / time.Second)
		if anchor == "date" && offset == 0 {
			return markerDate
		}
		return fmt.Sprintf("{{%s%+d}}", anchor, offset)
	})
}

func isText(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.TrimSpace(strings.ToLower(t))
	return strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "/json") ||
		strings.HasSuffix(t, "/xml") || strings.HasSuffix(t, "javascript")
}

// version asks Odoo for its version.
func (c *client) version() (string, error) {
	a, err := c.fetch(http.MethodPost, "/web/webclient/version_info", "application/json", "{}")
	if err != nil {
		return "", err
	}
	var v struct {
		Result struct {
			Version string `json:"server_version"`
		} `json:"result"`
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		return "", fmt.Errorf("status %d: %w", a.status, err)
	}
	if v.Result.Version == "" {
		return "", errors.New("the answer names no version")
	}
	return v.Result.Version, nil
}
