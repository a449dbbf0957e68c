package config

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/option"
)

// What is known of lists of tenants is known to the process, and not to a middleware: Traefik makes
// one for each router, and makes them anew with each change of its configuration. So a list is
// read once for all of them, and one that cannot be read any more does not end what goes on by the
// one before.

// known are the lists of this process, by what they are read from and with.
var (
	knownMu sync.Mutex
	known   = map[string]*knownList{}
)

// maxLists bounds them. Beyond, a list is read for each middleware.
const maxLists = 100

// knownList is a list, and what it was made of.
type knownList struct {
	mu       sync.Mutex
	read     time.Time
	print    string      // of what was read last
	files    bool        // it names files or variables: these may change without it
	list     *TenantList // the last one without mistakes
	problems []string    // of what was read last
	told     string      // what was said of it
}

// News is what is new since a list was read before.
type News struct {
	Problems []string // mistakes in what was read last
	Line     string   // for the log, "": nothing is to be said
}

// together is how long what was read counts for those who are made at the same time.
const together = time.Second

// listOf returns what is known of the list of some settings.
func listOf(s *Settings) *knownList {
	t := s.Tenants
	key := strings.Join([]string{
		t.File, t.Redis, s.Storage.Fingerprint, t.Header, fmt.Sprint(len(t.Patterns), t.Max), s.Purge.Secret, s.Purge.Previous, fmt.Sprint(s.quota),
	}, "\n")
	knownMu.Lock()
	defer knownMu.Unlock()
	k := known[key]
	if k == nil {
		k = &knownList{}
		if len(known) < maxLists {
			known[key] = k
		}
	}
	return k
}

// lastList returns the last list without mistakes, nil if there was none.
func lastList(s *Settings) *TenantList {
	k := listOf(s)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.list
}

// ReadList returns the list of tenants: as it is now, unless it was read less than a time ago, or the
// last one without mistakes; nil if there was none. load returns names and what they stand for.
// begin is called, before anybody gets a list, with the tenants that come back or get other hosts:
// what was purged while they were away is not known. Without begin there is nobody yet.
func ReadList(s *Settings, fresh time.Duration, load func(s *Settings) ([]string, error), begin func(names []string)) (*TenantList, News) {
	k := listOf(s)
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.read.IsZero() && time.Since(k.read) < fresh {
		return k.list, News{Problems: k.problems}
	}
	k.read = time.Now()
	pairs, err := load(s)
	if err != nil {
		k.print, k.problems = "", []string{err.Error()}
	} else if print := printOf(pairs); print != k.print || k.files {
		k.print = print
		take(k, pairs, s, begin)
	}
	return k.list, news(k)
}

// take makes a list of what was read, and keeps the one before if that cannot be.
func take(k *knownList, pairs []string, s *Settings, begin func(names []string)) {
	list, problems := listTenants(pairs, s)
	k.problems = problems
	if list == nil {
		return
	}
	k.files = namesFiles(list)
	if k.list != nil && k.list.Print == list.Print {
		return
	}
	if names := returning(k.list, list); len(names) > 0 && begin != nil {
		begin(names)
	}
	k.list = list
}

// news returns what is to be said of a list, once.
func news(k *knownList) News {
	n := News{Problems: k.problems}
	text := strings.Join(someOf(k.problems, mostTold), "; ")
	if text == k.told {
		return n
	}
	k.told = text
	switch {
	case text == "":
		n.Line = "the list of tenants can be read again"
	case k.list == nil:
		n.Line = "the list of tenants cannot be read, and nothing is cached: " + text
	default:
		n.Line = "the list of tenants is not read again, and the one before counts: " + text
	}
	return n
}

// someOf returns so many mistakes at most, and how many there are besides.
func someOf(problems []string, most int) []string {
	if len(problems) <= most {
		return problems
	}
	return append(problems[:most:most], fmt.Sprintf("and %d more mistakes", len(problems)-most))
}

// mostTold bounds the mistakes of a list that are in one line of the log.
const mostTold = 5

func namesFiles(l *TenantList) bool {
	for _, m := range l.Names {
		if m.files {
			return true
		}
	}
	return false
}

// returning returns the tenants of a list that were not in the one before, or had other hosts.
func returning(before, now *TenantList) []string {
	if before == nil {
		return nil
	}
	var names []string
	for name, m := range now.Names {
		was := before.Names[name]
		if was == nil || was.Name != m.Name || printOf(was.Hosts) != printOf(m.Hosts) {
			names = append(names, m.Name)
		}
	}
	return names
}

// listed reads the list that a middleware begins with. One in Redis is read later: New opens
// no connection.
func (p *problems) listed(s *Settings, c *option.Config) {
	if c.Tenant != option.Default().Tenant {
		p.add("tenant", "%q, but tenants says how the tenant of a request is found; expected one of them", c.Tenant)
	}
	s.quota = c.Quota
	if s.Tenants.Redis != "" { // it is read later: New opens no connection
		s.List = lastList(s)
	}
	if s.Tenants.File == "" {
		return
	}
	list, news := ReadList(s, together, ReadTenants, nil)
	if list == nil {
		first := someOf(news.Problems, mostProblems)
		for i := 0; i < len(first); i++ {
			p.add("tenants.file", "%s", first[i])
		}
	}
	s.List = list
}

// mostProblems bounds the mistakes of a list that are named.
const mostProblems = 20
