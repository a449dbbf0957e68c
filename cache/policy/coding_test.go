package policy_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/policy"
)

func TestMayCode(t *testing.T) {
	for kind, want := range map[string]bool{
		"text/html; charset=utf-8": true, "TEXT/CSS": true, "application/javascript": true, "application/json": true,
		"image/svg+xml": true, "application/manifest+json": true, "application/xml": true, "font/ttf": true,
		"": false, "image/png": false, "font/woff2": false, "application/zip": false, "application/octet-stream": false, "video/mp4": false,
	} {
		assert.Equal(t, want, policy.MayCode(http.Header{"Content-Type": {kind}}, false), kind)
	}
	for name, value := range map[string]string{
		"Content-Encoding": "br", "Content-Range": "bytes 0-1/2", "Content-Md5": "x", "Digest": "x", "Content-Digest": "x", "Repr-Digest": "x",
		"Vary": "Cookie, accept-encoding", "Cache-Control": "public, No-Transform",
	} {
		h := http.Header{"Content-Type": {"text/html"}, name: {value}}
		assert.False(t, policy.MayCode(h, false), name)
		assert.Equal(t, name == "Vary", policy.MayCode(h, true), name)
	}
}

func TestWeakTag(t *testing.T) {
	assert.Equal(t, `W/"a"`, policy.WeakTag(`"a"`))
	assert.Equal(t, `W/"a"`, policy.WeakTag(`W/"a"`))
}
