// Package main drives a headless Chromium for the tests that need a real browser.
//
// It speaks JSON-RPC (net/rpc/jsonrpc) on standard input and output: the methods of
// Browser. It ends, and Chromium with it, when its input ends. It is a module of
// its own, so that the plugin's go.mod names nothing of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

const (
	quiet    = 500 * time.Millisecond // without requests: a page is done
	patience = 30 * time.Second       // for anything that has to happen
)

func main() {
	program := flag.String("chromium", "chromium", "the browser's program")
	flag.Parse()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(*program),
		chromedp.Flag("headless", "new"),
		chromedp.Flag("accept-lang", "en-US,en"),
		chromedp.Flag("lang", "en-US"),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.WindowSize(1280, 1000),
		// Tests run as root in containers, where Chromium's sandbox does not
		// work; and they open nothing but pages of their own Odoo.
		chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(log.Printf))
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		log.Fatalf("chromium does not start: %v", err)
	}
	server := rpc.NewServer()
	if err := server.Register(&Browser{ctx: ctx, profiles: map[string]context.Context{}}); err != nil {
		log.Fatal(err)
	}
	server.ServeCodec(jsonrpc.NewServerCodec(pipe{os.Stdin, os.Stdout}))
}

// pipe is standard input and output.
type pipe struct {
	io.Reader
	io.WriteCloser
}

// Browser is what a test asks.
type Browser struct {
	ctx context.Context

	mu       sync.Mutex
	profiles map[string]context.Context
	tabs     []*tab
}

// tab is a page, and what has happened in it.
type tab struct {
	ctx context.Context

	mu        sync.Mutex
	open      map[network.RequestID]*network.EventRequestWillBeSent // under way
	changed   time.Time
	exchanges []*exchange
	last      map[network.RequestID][]*exchange
	extra     map[network.RequestID]int
	early     map[network.RequestID][]network.Headers
	errors    []string
}

// exchange is one response. Its own headers, cookies among them, come in an
// event of their own, before or after it.
type exchange struct {
	Response
	extra bool
}

// Response is what the browser got for a request.
type Response struct {
	Method, URL string
	Type        string // Document, Script, Image, Fetch, …
	Status      int
	FromBrowser bool              // from the browser's own cache
	Body        string            // of the request, empty if it is too long for the browser to tell
	Header      map[string]string // lines of one name are joined by newlines
}

// Target says what in which tab.
type Target struct {
	Tab                             int
	URL, Selector, Text, Script, To string
	Height                          int
}

// Log is what has happened in a tab since it was last asked for.
type Log struct {
	Responses []Response
	Errors    []string // exceptions, and what scripts write by console.error
}

// NewTab opens an empty tab. A profile is what shares cookies; a new name makes a
// new one.
func (b *Browser) NewTab(profile string, number *int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx, known := b.profiles[profile]
	if known {
		ctx, _ = chromedp.NewContext(ctx)
	} else {
		ctx, _ = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
		b.profiles[profile] = ctx
	}
	t := &tab{
		ctx: ctx, open: map[network.RequestID]*network.EventRequestWillBeSent{}, last: map[network.RequestID][]*exchange{},
		extra: map[network.RequestID]int{}, early: map[network.RequestID][]network.Headers{},
	}
	if err := chromedp.Listen(ctx, t.event); err != nil {
		return err
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		return err
	}
	if _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); err != nil {
		return err
	}
	if _, err := chromedp.Call(ctx, page.Enable, page.EnableParams{}); err != nil {
		return err
	}
	still := []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: still}); err != nil {
		return err
	}
	*number = len(b.tabs)
	b.tabs = append(b.tabs, t)
	return nil
}

func (b *Browser) tab(number int) (*tab, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if number < 0 || number >= len(b.tabs) {
		return nil, fmt.Errorf("there is no tab %d", number)
	}
	return b.tabs[number], nil
}

// do carries an action out, within a bounded time.
func do[T any](t *tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// sharedWorker is the script of the worker that all tabs share (addons/bus). No tab is told that
// it has come.
const sharedWorker = "/bus/websocket_worker_bundle"

// event notes what the browser tells of a tab.
func (t *tab) event(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.RedirectResponse != nil {
			t.answered(e.RequestID, e.RedirectResponse, e.Type, e.RedirectHasExtraInfo)
		}
		if t.changed = time.Now(); !strings.Contains(e.Request.URL, sharedWorker) {
			t.open[e.RequestID] = e
		}
		x := &exchange{Response: Response{Method: e.Request.Method, URL: e.Request.URL}}
		for _, part := range e.Request.PostDataEntries {
			x.Body += string(part.Bytes)
		}
		t.last[e.RequestID] = append(t.last[e.RequestID], x)
	case *network.EventResponseReceived:
		t.answered(e.RequestID, e.Response, e.Type, e.HasExtraInfo)
	case *network.EventResponseReceivedExtraInfo:
		t.early[e.RequestID] = append(t.early[e.RequestID], e.Headers)
		t.join(e.RequestID)
	case *page.EventFrameNavigated:
		// What the page before had asked for, nobody waits for any more.
		for id, request := range t.open {
			if request.FrameID == e.Frame.ID && request.LoaderID != e.Frame.LoaderID {
				delete(t.open, id)
			}
		}
	case *network.EventLoadingFinished:
		delete(t.open, e.RequestID)
		t.changed = time.Now()
	case *network.EventLoadingFailed:
		delete(t.open, e.RequestID)
		t.changed = time.Now()
	case *runtime.EventExceptionThrown:
		line := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			line += " " + e.ExceptionDetails.Exception.Description
		}
		t.errors = append(t.errors, line)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" {
			line := "console.error:"
			for _, a := range e.Args {
				line += " " + a.Description + string(a.Value)
			}
			t.errors = append(t.errors, line)
		}
	}
}

// answered notes a response.
func (t *tab) answered(id network.RequestID, r *network.Response, kind network.ResourceType, extra bool) {
	list := t.last[id]
	if len(list) == 0 {
		return
	}
	x := list[len(list)-1]
	x.Type, x.Status, x.extra = string(kind), int(r.Status), extra
	x.FromBrowser = r.FromDiskCache || r.FromPrefetchCache
	x.Header = plain(r.Headers)
	t.exchanges = append(t.exchanges, x)
	t.join(id)
}

// join gives responses their own headers. Both kinds of events come in the order of
// the responses, and each has the same id.
func (t *tab) join(id network.RequestID) {
	n := 0
	for _, x := range t.last[id] {
		if !x.extra {
			continue
		}
		if n >= t.extra[id] && n < len(t.early[id]) {
			x.Header = plain(t.early[id][n])
			t.extra[id] = n + 1
		}
		n++
	}
}

func plain(headers network.Headers) map[string]string {
	m := map[string]string{}
	for name, value := range headers {
		m[name] = fmt.Sprint(value)
	}
	return m
}

// resting is "complete" when a page is loaded and, on a website of Odoo, its scripts have
// begun (addons/web/static/src/public/public_root.js sets is-ready): they fill forms,
// and would do so over what was typed. Pages on which they never begin get 10 s.
const resting = `document.querySelector("#wrapwrap") && document.body.getAttribute("is-ready") !== "true" &&
	performance.now() < 10000 ? "scripts" : document.readyState`

// settle waits until a page is loaded and nothing is under way any more.
func (t *tab) settle() error {
	t.mu.Lock()
	t.changed = time.Now() // what an action sets off may take a moment to begin
	t.mu.Unlock()
	for end := time.Now().Add(patience); ; time.Sleep(quiet / 10) {
		t.mu.Lock()
		still := time.Since(t.changed) > quiet && len(t.open) == 0
		var waiting []string
		for _, request := range t.open {
			waiting = append(waiting, request.Request.URL)
		}
		t.mu.Unlock()
		if still {
			if state, err := do(t, chromedp.Evaluate[string](resting)); err == nil && state == "complete" {
				return nil
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("the page does not come to rest: %q", waiting)
		}
	}
}

// Open goes to an address, as one who types it in.
func (b *Browser) Open(what Target, _ *struct{}) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	if _, err := chromedp.Call(t.ctx, page.BringToFront, cdp.Empty{}); err != nil {
		return err
	}
	if _, err := do(t, chromedp.Navigate(what.URL)); err != nil {
		return err
	}
	return t.settle()
}

// Go goes to an address and returns once the page is there, whatever its scripts do then.
func (b *Browser) Go(what Target, _ *struct{}) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	_, err = do(t, chromedp.Navigate(what.URL))
	return err
}

// find is a function in the page: where the middle of the first element is that a
// selector finds and a visitor could click, or null. What is drawn anew after the
// page has been scrolled, or brought to the front, may lie elsewhere.
const find = `(async (selector) => {
	const frame = () => new Promise((done) => requestAnimationFrame(done));
	for (const element of document.querySelectorAll(selector)) {
		if (!element.checkVisibility({ visibilityProperty: true })) continue;
		element.scrollIntoView({ block: "center", behavior: "instant" });
		await frame();
		await frame();
		const { x, y, width, height } = element.getBoundingClientRect();
		const at = [x + width / 2, y + height / 2];
		const top = document.elementFromPoint(...at);
		if (top && (element.contains(top))) return at;
	}
	return null;
})`

// Click clicks on the first visible element that a selector finds, once it is there.
func (b *Browser) Click(what Target, _ *struct{}) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	if err := t.click(what.Selector); err != nil {
		return err
	}
	return t.settle()
}

func (t *tab) click(selector string) error {
	quoted, err := json.Marshal(selector)
	if err != nil {
		return err
	}
	// A tab behind another is not drawn, and its scripts may wait for that.
	if _, err := chromedp.Call(t.ctx, page.BringToFront, cdp.Empty{}); err != nil {
		return err
	}
	// It has to stay where it is: pages move while they load.
	var before []float64
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		at, err := do(t, chromedp.Evaluate[[]float64](find+"("+string(quoted)+")", chromedp.EvalAwaitPromise))
		if err != nil {
			return err
		}
		if len(at) == 2 && slices.Equal(at, before) {
			if _, err := do(t, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1])); err != nil {
				return err
			}
			_, err = do(t, chromedp.MouseClickXY(at[0], at[1]))
			return err
		}
		before = at
		if time.Now().After(end) {
			return fmt.Errorf("nothing to click on: %s", selector)
		}
	}
}

// Type clicks on a field and types a text.
func (b *Browser) Type(what Target, _ *struct{}) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	if err := t.click(what.Selector); err != nil {
		return err
	}
	_, err = do(t, chromedp.KeyEvent(what.Text))
	return err
}

// Eval returns the value of an expression as JSON.
func (b *Browser) Eval(what Target, value *json.RawMessage) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	*value, err = do(t, chromedp.Evaluate[[]byte](what.Script))
	return err
}

// Wait waits until an expression is true, and the page is at rest.
func (b *Browser) Wait(what Target, _ *struct{}) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		// A page that is just being left has no answer.
		is, err := do(t, chromedp.Evaluate[bool]("!!("+what.Script+")"))
		if is {
			return t.settle()
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("not so: %s", what.Script), err)
		}
	}
}

// still stops what moves: animations, the cursor in a field, carousels.
const still = `(() => {
	const style = document.createElement("style");
	style.textContent = "*, *::before, *::after { animation: none !important; transition: none !important; caret-color: transparent !important; scroll-behavior: auto !important }";
	document.head.append(style);
	document.activeElement?.blur();
	scrollTo(0, 0);
	return document.fonts.ready
		.then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
		.then(() => true);
})()`

// Screenshot returns the upper part of a page, of a height, as PNG. The window is made
// as high for it, so that images that load when they are seen do.
func (b *Browser) Screenshot(what Target, png *[]byte) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	if _, err := do(t, chromedp.EmulateViewport(1280, int64(what.Height))); err != nil {
		return err
	}
	if err := t.settle(); err != nil {
		return err
	}
	if _, err := do(t, chromedp.Evaluate[bool](still, chromedp.EvalAwaitPromise)); err != nil {
		return err
	}
	*png, err = do(t, chromedp.CaptureScreenshot())
	return err
}

// Cookies returns the cookies of a tab's profile.
func (b *Browser) Cookies(what Target, values *map[string]string) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	params := storage.GetCookiesParams{BrowserContextID: chromedp.FromContext(t.ctx).BrowserContextID}
	found, err := chromedp.CallBrowser(t.ctx, storage.GetCookies, params)
	*values = map[string]string{}
	for _, c := range found.Cookies {
		(*values)[c.Name] = c.Value
	}
	return err
}

// Log returns what has happened in a tab since it was last asked for.
func (b *Browser) Log(what Target, log *Log) error {
	t, err := b.tab(what.Tab)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	*log = Log{Errors: t.errors}
	for _, x := range t.exchanges {
		log.Responses = append(log.Responses, x.Response)
	}
	t.exchanges, t.errors = nil, nil
	return nil
}
