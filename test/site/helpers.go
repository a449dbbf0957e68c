package site

import (
	"bufio"
	"net"
	"net/http"
	"net/url"
)

// Contains reports whether a list has a member.
func Contains(list []string, s string) bool {
	for _, member := range list {
		if member == s {
			return true
		}
	}
	return false
}

// Merge puts options together; later ones go before earlier ones.
func Merge(list ...Options) Options {
	all := Options{}
	for _, o := range list {
		for name, value := range o {
			all[name] = value
		}
	}
	return all
}

// Hijack takes the connection of a request over.
func Hijack(rw http.ResponseWriter) (net.Conn, *bufio.ReadWriter) {
	c, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		panic(err)
	}
	return c, buffered
}

// BrowserRequest is a GET as a browser sends it and Traefik hands it on.
func BrowserRequest(path string) *http.Request {
	u, _ := url.ParseRequestURI(path)
	return &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: path, Host: "shop.example", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: "10.0.0.1:4711", Body: http.NoBody,
		Header: Fields("Accept: text/html,application/xhtml+xml", "Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9",
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Cookie: tz=Europe/Brussels; cids=1",
			"X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: shop.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443"),
	}
}
