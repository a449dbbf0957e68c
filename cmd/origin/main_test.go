package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-listen", "127.0.0.1:0", "-speed", "0", "-app-headers"}, w, io.Discard)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	base := strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
	res, err := http.Get(base + "/shop")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.True(t, strings.Contains(string(body), base+"/shop"))
	assert.Contains(t, res.Header.Get("Surrogate-Key"), "product.template-9")
	cancel()
	select {
	case err := <-done:
		assert.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-tokens", "some"}, {"-listen", "nowhere"}, {"-speed", "x"}, {"more"}, {"-dir", "no-such-folder"}} {
		assert.Error(t, run(context.Background(), args, io.Discard, io.Discard), args)
	}
}
