// A program that drives Chromium for the tests. A module of its own: it needs what
// the plugin, which uses the standard library alone, must not require.
module github.com/odoocache/odoocache/test/browser

go 1.25

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
)

require github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
