// Package cache gets this file where the benchmark of steps has it interpreted,
// and nowhere else: the steps of a hit, each in a loop that is interpreted too.
package cache

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/redis"
	tiers "github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

// A scene is a handler and a request that it has a hit for.
type scene struct {
	h  *Handler
	r  *http.Request
	at string
	v  *visit

	client *resp.Client
	entry  []byte // as it is stored
}

var scenes = map[string]*scene{}

// SetScene makes a handler of the options and asks it for the page until the quick
// way answers.
func SetScene(name string, c *option.Config, next http.Handler, rw http.ResponseWriter, r *http.Request) error {
	s, err := config.Build(c)
	if err != nil {
		return err
	}
	h := New(context.Background(), s, next, Acquire(context.Background(), s.Storage))
	for i := 0; i < 3; i++ {
		h.ServeHTTP(rw, r)
	}
	key := tableKey(h, r)
	x, found := h.table.Load(key)
	p, _ := x.(*readyPage)
	if !found || p.remote && answerFromRedis(h, rw, r, key, p) != outcomeDone || !p.remote && answerFromMemory(h, rw, r, key, p) != outcomeDone {
		return errors.New(name + ": the short way does not answer")
	}
	v := &visit{r: r, now: nowMS()}
	examine(h, v, false)
	if v.entry == nil || v.state != policy.Fresh {
		return errors.New(name + ": nothing fresh is stored: " + v.bypass + v.reason)
	}
	stored, err := storage.Encode(v.entry)
	if err != nil {
		return err
	}
	h.shared.tier.NoteNewSession(h.tenant, visitor)
	h.shared.tier.NoteNewSession(h.tenant, keys.SessionID(sessionID))
	scenes[name] = &scene{h: h, r: r, at: key, v: v, client: resp.New(*s.Storage.Redis), entry: stored}
	return nil
}

// RuleName returns the name of the rule that takes a request.
func RuleName(name, method, path, query string) string {
	h := scenes[name].h
	r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
	found, _ := rule.First(h.s.Plan, h.s.Default, method, "shop.example", path, r)
	return found.Name
}

// visitor is a session that has begun.
const visitor = "visitor"

// sessionID is another one, as its cookie has it.
const sessionID = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// without returns a request like another one without a Cookie field.
func without(r *http.Request) *http.Request {
	m := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: r.Header.Clone()}
	m.Header.Del("Cookie")
	m.Header.Del("Accept-Language")
	m.Header.Del("User-Agent")
	return m
}

// withSession returns a request like another one as a browser sends it from its second page on.
func withSession(r *http.Request) *http.Request {
	m := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: r.Header.Clone()}
	for name, value := range map[string]string{
		"Cookie": "frontend_lang=en_US; session_id=" + sessionID + "; tz=Europe/Brussels; _ga=GA1.1.1460431723.1764500000; " +
			"_ga_8QZ4T1X2YK=GS2.1.s1764500000$o1$g1$t1764500321$j60$l0$h0; _fbp=fb.0.1764500000123.987654321",
		"Priority": "u=0, i", "Referer": "http://shop.example/shop", "Sec-Ch-Ua": "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"",
		"Sec-Ch-Ua-Mobile": "?0", "Sec-Ch-Ua-Platform": "\"Windows\"", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate",
		"Sec-Fetch-Site": "same-origin", "Sec-Fetch-User": "?1", "Upgrade-Insecure-Requests": "1",
	} {
		m.Header.Set(name, value)
	}
	return m
}

// hits answers a request n times, which is to be a hit each time.
func hits(h *Handler, rw http.ResponseWriter, r *http.Request, n int) int {
	for i := 0; i < 4; i++ { // makes it ready
		h.ServeHTTP(rw, r)
	}
	for i := 0; i < n; i++ {
		h.ServeHTTP(rw, r)
	}
	return n
}

// plain is the yardstick: a function of what interpreted code does all the time. It uses nothing of
// the cache, so no change of the cache changes what it takes.
func plain(r *http.Request, i int) bool {
	a := &plainAddress{host: r.Host, path: r.URL.Path, number: i}
	text := joinPlain(a)
	numbers := map[string]int{text: i}
	host, rest, found := strings.Cut(text, "\n")
	if !found || host != r.Host || numbers[text] != i || strings.IndexByte(rest, '\n') < 0 {
		return false
	}
	return strings.HasSuffix(rest, strconv.Itoa(i)) && !strings.Contains(rest, "//") && r.Header.Get("Accept") != ""
}

type plainAddress struct {
	host, path string
	number     int
}

func joinPlain(a *plainAddress) string {
	return strings.Join([]string{a.host, a.path, strconv.Itoa(a.number)}, "\n")
}

// RunStep makes a step n times. It returns how often it came to what it comes to
// in a hit.
func RunStep(name, step string, rw http.ResponseWriter, n int) int {
	sc := scenes[name]
	h, r, v := sc.h, sc.r, sc.v
	tier, tenant := h.shared.tier, h.tenant
	done := 0
	switch step {
	case "plain": // the yardstick
		for i := 0; i < n; i++ {
			if plain(r, i) {
				done++
			}
		}
	case "table key":
		for i := 0; i < n; i++ {
			fields := &strings.Builder{}
			_ = r.Header.WriteSubset(fields, ignoredFields)
			if strings.Join([]string{h.prefix, r.Host, r.URL.RequestURI(), fields.String()}, "\n") == sc.at {
				done++
			}
		}
	case "hot key":
		for i := 0; i < n; i++ {
			if tableKey(h, r) != "" {
				done++
			}
		}
	case "clean":
		for i := 0; i < n; i++ {
			if !clean(h, r) {
				done++
			}
		}
	case "filling request":
		for i := 0; i < n; i++ {
			if asNobody(r.Context(), h, v).Host == r.Host {
				done++
			}
		}
	case "identify":
		for i := 0; i < n; i++ {
			if identify(h, r, address(h, r)) == v.id {
				done++
			}
		}
	case "identify, new address":
		known := h.identities.byAddress
		for i := 0; i < n; i++ {
			h.identities.byAddress = map[string]*identity{}
			if identify(h, r, address(h, r)).key == v.id.key {
				done++
			}
		}
		h.identities.byAddress = known
	case "rule": // of an address that no rule before the last takes
		m := *r.URL
		m.Path, m.RawQuery = "/product", "n=0-17-1234567890"
		last := &http.Request{Method: r.Method, URL: &m, Host: r.Host, Header: r.Header}
		for i := 0; i < n; i++ {
			if found, _ := firstRule(h, last, v.id.host, last.URL.Path); found != nil {
				done++
			}
		}
	case "dimensions":
		for i := 0; i < n; i++ {
			if parts, _ := v.rule.Dimensions(r); len(parts) > 0 {
				done++
			}
		}
	case "dimensions of nobody":
		m := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: http.Header{}}
		for i := 0; i < n; i++ {
			if parts, _ := v.rule.Dimensions(m); len(parts) > 0 {
				done++
			}
		}
	case "key":
		for i := 0; i < n; i++ {
			if keys.Extend(keys.Primary(h.s.Tenant, v.rule.Name, v.id.target, nil), v.values) == v.primary {
				done++
			}
		}
	case "variant":
		for i := 0; i < n; i++ {
			if variedBy(h, r, v.rule, senderOf(h, r, r.Header["Cookie"][0])) != "" {
				done++
			}
		}
	case "table":
		for i := 0; i < n; i++ {
			x, _ := h.table.Load(sc.at)
			if p, ok := x.(*readyPage); ok && p.ready != nil {
				done++
			}
		}
	case "quick lookup in Redis":
		x, _ := h.table.Load(sc.at)
		p, _ := x.(*readyPage)
		for i := 0; i < n && p != nil && p.exchange != nil; i++ {
			if body, _ := redis.Body(p.exchange, time.Now()); body != nil {
				done++
			}
		}
	case "session":
		for i := 0; i < n; i++ {
			if _, gives, _ := tiers.KnownSession(tier, tenant, visitor, 0); gives {
				done++
			}
		}
	case "exchange":
		for i := 0; i < n; i++ {
			replies, err := sc.client.Do(
				resp.Command{Args: []string{"PING"}}, resp.Command{Args: []string{"GET", "no such key"}}, resp.Command{Args: []string{"ECHO", "hello"}},
			)
			if err == nil && len(replies) == 3 {
				done++
			}
		}
	case "storage lookup":
		store := redis.New(sc.client, 10)
		_, _ = store.Find(h.s.Tenant, &storage.Query{ID: keys.ID(v.primary)}) // opens a connection
		for i := 0; i < n; i++ {
			if a, err := store.Find(h.s.Tenant, &storage.Query{ID: keys.ID(v.primary)}); err == nil && a.Entry != nil {
				done++
			}
		}
	case "lock":
		for i := 0; i < n; i++ {
			l := &storage.Lock{ID: strconv.FormatInt(h.shared.number(), 36), Token: "t"} // nobody has it
			if tier.Lock(tenant, l, 1000) == storage.LockClaimed {
				done++
			}
		}
	case "encode":
		for i := 0; i < n; i++ {
			if b, err := storage.Encode(v.entry); err == nil && len(b) == len(sc.entry) {
				done++
			}
		}
	case "decode":
		for i := 0; i < n; i++ {
			if e, err := storage.Decode(sc.entry); err == nil && e.Key == v.entry.Key {
				done++
			}
		}
	case "lookup":
		for i := 0; i < n; i++ {
			if tier.Lookup(tenant, v.primary).Entry != nil {
				done++
			}
		}
	case "reuse":
		for i := 0; i < n; i++ {
			if state, _ := policy.Reuse(v.entry.Life, v.cc, v.soft, v.now); state == policy.Fresh {
				done++
			}
		}
	case "deliver":
		for i := 0; i < n; i++ {
			deliver(h, rw, v)
			done++
		}
	case "hit":
		for i := 0; i < n; i++ {
			h.ServeHTTP(rw, r)
			done++
		}
	case "hit without a cookie":
		return hits(h, rw, without(r), n)
	case "hit with a session":
		return hits(h, rw, withSession(r), n)
	case "bypass":
		b := *r.URL
		b.Path = "/bypassed"
		m := &http.Request{Method: r.Method, URL: &b, Host: r.Host, Header: r.Header.Clone()}
		m.Header.Del("Cookie")
		rememberBypass(h, m)
		for i := 0; i < n; i++ {
			h.ServeHTTP(rw, m)
			done++
		}
	case "miss":
		for i := 0; i < n; i++ {
			m := *r.URL
			m.Path = "/missing/" + strconv.FormatInt(h.shared.number(), 36)
			h.ServeHTTP(rw, &http.Request{Method: r.Method, URL: &m, Host: r.Host, Header: r.Header.Clone()})
			done++
		}
	case "hit, the long way":
		for i := 0; i < n; i++ {
			serve(h, rw, r, false)
			done++
		}
	}
	return done
}
