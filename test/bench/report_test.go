package bench_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/measure"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
)

// What the benchmark has measured, as tables in docs/performance.md, as a picture, and in
// short in the README. All of it is made of docs/bench.json.

const (
	// benchRounds is how many rounds there have to be for the figures to be shown.
	benchRounds = 5
	benchBegin  = "<!-- figures of make bench -->\n"
	benchEnd    = "<!-- end of figures -->"
)

// benchResult is what a case came to, by round.
type benchResult struct {
	Case  string    `json:"case"`
	Base  string    `json:"base"`
	Rate  []float64 `json:"requestsPerSecond"`
	P50   []float64 `json:"p50ms"`
	P99   []float64 `json:"p99ms"`
	CPU   []float64 `json:"traefikCPUSecondsPer1000Requests"`
	Alloc []float64 `json:"traefikAllocatedkBPerRequest"`
	Ratio []float64 `json:"ratio"` // to the base in the same round
}

// benchReport is what docs/bench.json holds.
type benchReport struct {
	Date    string         `json:"date"`
	Machine string         `json:"machine"`
	Cores   int            `json:"cores"`
	Go      string         `json:"go"`
	Traefik string         `json:"traefik"`
	Redis   string         `json:"redis"`
	Nginx   string         `json:"nginx,omitempty"`
	Rounds  int            `json:"rounds"`
	Seconds int            `json:"seconds"`
	Loads   []*benchLoad   `json:"at70PercentOfHighestLoad"`
	Bytes   map[string]int `json:"redisBytesPerPage"`
	Cases   []*benchResult `json:"cases"`

	partly bool // not all cases were measured
}

// benchLoad is how long requests took that were sent at fixed times, by round.
type benchLoad struct {
	Case string    `json:"case"`
	Rate []float64 `json:"requestsPerSecond"`
	P50  []float64 `json:"p50ms"`
	P99  []float64 `json:"p99ms"`
}

// add adds a round. ms a request are seconds per 1000 requests.
func (r *benchResult) add(m measured) {
	r.Rate, r.P50, r.P99 = append(r.Rate, m.rate), append(r.P50, m.p50), append(r.P99, m.p99)
	if m.cpu > 0 {
		r.CPU = append(r.CPU, m.cpu)
	}
	if m.alloc > 0 {
		r.Alloc = append(r.Alloc, m.alloc)
	}
}

func (r *benchReport) load(name string) *benchLoad {
	for _, l := range r.Loads {
		if l.Case == name {
			return l
		}
	}
	return &benchLoad{}
}

// tail is how many times longer than the 50th percentile the 99th is.
func (l *benchLoad) tail() float64 {
	return measure.Median(l.P99) / measure.Median(l.P50)
}

func (r *benchReport) find(name string) *benchResult {
	for _, c := range r.Cases {
		if c.Case == name {
			return c
		}
	}
	return &benchResult{}
}

// compare fills in the ratios: each round by itself.
func (r *benchReport) compare() {
	for _, c := range r.Cases {
		base := r.find(c.Base)
		c.Ratio = nil
		for i := range c.Rate {
			c.Ratio = append(c.Ratio, c.Rate[i]/base.Rate[i])
		}
	}
}

// orNaN is the median, or no number if nothing was measured.
func orNaN(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	return measure.Median(list)
}

// known prints the median, or nothing if nothing was measured.
func known(format string, list []float64) string {
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf(format, measure.Median(list))
}

// table shows the ratios.
func (r *benchReport) table() string {
	out := fmt.Sprintf("\n%d rounds of %d s each, 16 connections, %d cores, Traefik %s, Redis %s\n", r.Rounds, r.Seconds, r.Cores, r.Traefik, r.Redis)
	out += fmt.Sprintf("%-50s %8s %17s %8s %9s %10s %9s  %s\n", "case", "ratio", "least to most", "req/s", "p99 ms", "CPU s/1000", "alloc kB", "ratio to")
	for _, c := range r.Cases {
		least, most := measure.Spread(c.Ratio)
		out += fmt.Sprintf("%-50s %8.2f %8.2f %8.2f %8.0f %9.2f %10s %9s  %s\n",
			c.Case, measure.Median(c.Ratio), least, most, measure.Median(c.Rate), measure.Median(c.P99), known("%.3f", c.CPU), known("%.1f", c.Alloc), c.Base)
	}
	for _, l := range r.Loads {
		out += fmt.Sprintf("%-34s at %.0f requests/s, 70 %% of its highest load: p50 %.2f ms, p99 %.2f ms, %.1f times\n", l.Case, measure.Median(l.Rate), measure.Median(l.P50), measure.Median(l.P99), l.tail())
	}
	return out + fmt.Sprintf("bytes in Redis: the product %d, /shop %d\n", r.Bytes["product"], r.Bytes["shop"])
}

// benchAim compares a figure with what is aimed at.
type benchAim struct {
	what     string
	got, aim float64
	atMost   bool
}

func (v benchAim) sign() string {
	if v.atMost {
		return "<="
	}
	return ">="
}

// word says whether the aim is reached. What could not be measured is missed.
func (v benchAim) word() string {
	if v.atMost && v.got <= v.aim || !v.atMost && v.got >= v.aim {
		return "reached"
	}
	return "missed"
}

func (r *benchReport) aims() []benchAim {
	ratio := func(name string) float64 { return measure.Median(r.find(name).Ratio) }
	cpu := func(name string) float64 { return orNaN(r.find(name).CPU) }
	// cost is the highest of what so many of something cost, of what the fewest do.
	cost := func(what string, counts []int, most int) float64 {
		highest := 0.0
		for _, n := range counts[1:] {
			if n <= most {
				highest = math.Max(highest, 1/ratio(fmt.Sprintf("%d %s", n, what)))
			}
		}
		return highest
	}
	return []benchAim{
		{"hit from memory, of Traefik alone", ratio("hit from memory"), 3, false},
		{"hit from memory, gzip", ratio("hit from memory, gzip"), 3, false},
		{"/shop in gzip, of Traefik's compress", ratio("hit from memory, 215 kB, gzip"), 10, false},
		{"hit from Redis, gzip", ratio("hit from Redis, gzip"), 1.8, false},
		{"hit from Redis", ratio("hit from Redis"), 1.2, false},
		{"processor time encrypted, of a hit from Redis", cpu(benchSealed) / cpu("hit from Redis"), 1.15, true},
		{"the same, gzip", cpu(benchSealedZipped) / cpu("hit from Redis, gzip"), 1.15, true},
		{"the same, image of 60 kB", cpu(benchSealedImage) / cpu(benchImage), 1.15, true},
		{"p99 of p50 at 70 % load", r.load("hit from memory").tail(), 3, true},
		{"a session and a browser's header, of a hit without", orNaN(r.find(benchVisitor).Ratio), 0.85, false},
		{"the same, from Redis", orNaN(r.find(benchVisitorRedis).Ratio), 0.9, false},
		{"miss, of an origin of 20 ms", ratio(benchMiss), 0.9, false},
		{"ms of processor time, miss with the preset", cpu(benchPresetMiss), 2, true},
		{"the same, of a miss without it", cpu(benchPresetMiss) / cpu(benchMiss), 1.05, true},
		{"bypass, of a trivial origin", ratio("bypass, trivial"), 0.9, false},
		{"cost of up to 50 tags, of 1", cost("tags", tagCounts, 50), 1.2, true},
		{"cost of up to 100 rules, of 1", cost("rules", ruleCounts, 100), 1.2, true},
		{"cost of up to 100000 entries, of 100", cost("entries", entryCounts, 100000), 1.2, true},
		{"cost of up to 100 tenants, of 1", cost("tenants", tenantCounts, 100), 1.2, true},
	}
}

// verdicts shows what is reached.
func (r *benchReport) verdicts() string {
	out := "\n"
	for _, v := range r.aims() {
		if r.partly && (math.IsNaN(v.got) || math.IsInf(v.got, 0) || v.got == 0) {
			continue
		}
		out += fmt.Sprintf("%-52s %6.2f  aim %s %-5.4g %s\n", v.what, v.got, v.sign(), v.aim, v.word())
	}
	return out
}

// groups returns the cases by what they are compared with, in their order.
func (r *benchReport) groups() [][]*benchResult {
	var list [][]*benchResult
	at := map[string]int{}
	for _, c := range r.Cases {
		i, found := at[c.Base]
		if !found {
			i = len(list)
			at[c.Base] = i
			list = append(list, nil)
		}
		list[i] = append(list[i], c)
	}
	return list
}

// svg draws the median ratios, with a line from the least to the most. Each group has
// a scale of its own.
func (r *benchReport) svg() string {
	const left, width, row = 215, 400, 24
	y := 8
	body := ""
	for _, group := range r.groups() {
		most := 1.0
		for _, c := range group {
			if _, m := measure.Spread(c.Ratio); m > most {
				most = m
			}
		}
		x := func(ratio float64) float64 { return left + ratio/most*width }
		body += fmt.Sprintf("<text x=\"8\" y=\"%d\" class=\"title\">requests/s, %s = 1</text>\n", y+14, html.EscapeString(group[0].Base))
		y += row
		for _, c := range group {
			class := ""
			if c.Case == c.Base {
				class = ` class="base"`
			}
			m := measure.Median(c.Ratio)
			least, highest := measure.Spread(c.Ratio)
			body += fmt.Sprintf("<text x=\"%d\" y=\"%d\" class=\"name\">%s</text><rect%s x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\"/>",
				left-8, y+12, html.EscapeString(c.Case), class, left, y, x(m)-left)
			if highest > least {
				body += fmt.Sprintf("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x(least), x(highest), y+7, y+7)
			}
			body += fmt.Sprintf("<text x=\"%.1f\" y=\"%d\">%.2f</text>\n", x(highest)+8, y+12, m)
			y += row
		}
		y += 10
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">
<style>text{fill:#333}rect{fill:#4a7ab5}.base{fill:#999}line{stroke:#111;stroke-width:2}.title{font-weight:bold}.name{text-anchor:end}@media(prefers-color-scheme:dark){text{fill:#ddd}line{stroke:#fff}}</style>
`, left+width+70, y) + body + "</svg>\n"
}

// shown is what pages show of the figures, between the marks: by page.
func (r *benchReport) shown() map[string]string {
	return map[string]string{"README.md": r.summary(), filepath.Join(measure.Folder, measure.ProfileFile): r.markdown()}
}

// summary is what the README shows: three figures and the picture.
func (r *benchReport) summary() string {
	l := r.load("hit from memory")
	return fmt.Sprintf(`
* **%.2f ms** for a hit from memory: the median at %.0f requests a second, on %d cores.
* **%.1f times** as many requests a second from memory as Traefik alone hands on to an origin that takes no time, and %.1f times from Redis.
* **%.1f times** as many `+"`/shop`"+` pages a second in gzip as with Traefik's compress middleware and no cache.

![Requests a second with the cache, in multiples of Traefik alone](%s/bench.svg)

`, measure.Median(l.P50), measure.Median(l.Rate), r.Cores, measure.Median(r.find("hit from memory").Ratio), measure.Median(r.find("hit from Redis").Ratio),
		measure.Median(r.find("hit from memory, 215 kB, gzip").Ratio), measure.Folder)
}

// markdown is what docs/performance.md shows.
func (r *benchReport) markdown() string {
	out := fmt.Sprintf("\nMedians of %d rounds of %d s, 16 connections, wrk on the same machine: %s, %d cores, Traefik %s, Redis %s",
		r.Rounds, r.Seconds, r.Machine, r.Cores, r.Traefik, r.Redis)
	if r.Nginx != "" {
		out += ", nginx " + r.Nginx
	}
	out += fmt.Sprintf(", %s, %s.\n\n![The ratios of the table below as bars](bench.svg)\n\n", r.Go, r.Date)
	out += "| Requests/s | Ratio | Least to most | Traefik's CPU, s per 1000 requests | Allocated, kB per request |\n| --- | --- | --- | --- | --- |\n"
	for _, group := range r.groups() {
		for _, c := range group {
			if c.Case == c.Base {
				out += fmt.Sprintf("| **%s** | 1 | | %s | %s |\n", c.Case, known("%.3f", c.CPU), known("%.1f", c.Alloc))
				continue
			}
			least, most := measure.Spread(c.Ratio)
			out += fmt.Sprintf("| %s | %.2f | %.2f to %.2f | %s | %s |\n", c.Case, measure.Median(c.Ratio), least, most, known("%.3f", c.CPU), known("%.1f", c.Alloc))
		}
	}
	out += fmt.Sprintf("\nEach row is compared with the row in bold above it. In Redis the product page of 49 kB takes %d bytes, /shop of 215 kB %d.\n\n", r.Bytes["product"], r.Bytes["shop"])
	out += "Requests sent at fixed times, 70 % of the highest rate at which each is answered:\n\n| | Requests/s | p50, ms | p99, ms | p99 / p50 |\n| --- | --- | --- | --- | --- |\n"
	for _, l := range r.Loads {
		out += fmt.Sprintf("| %s | %.0f | %.2f | %.2f | %.1f |\n", l.Case, measure.Median(l.Rate), measure.Median(l.P50), measure.Median(l.P99), l.tail())
	}
	out += "\n"
	out += "| Aim | | Measured | |\n| --- | --- | --- | --- |\n"
	for _, v := range r.aims() {
		if math.IsNaN(v.got) { // the figures are older than the case
			continue
		}
		out += fmt.Sprintf("| %s | %s %.4g | %.2f | %s |\n", v.what, v.sign(), v.aim, v.got, v.word())
	}
	return out + "\n"
}

// withFigures returns a page with text in its place for figures.
func withFigures(page, text string) (string, error) {
	return measure.Into(page, benchBegin, benchEnd, text)
}

// writeFigures puts text into a page's place for figures.
func writeFigures(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, err := withFigures(string(old), text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

// write writes the report: to where it is shown, or aside if there were too few rounds
// or cases for that. It returns the folder.
func (r *benchReport) write() (folder string, err error) {
	folder = source.Path(".cache", "bench")
	if r.Rounds >= benchRounds && !r.partly {
		folder = source.Path(measure.Folder)
		for path, text := range r.shown() {
			if err := writeFigures(source.Path(path), text); err != nil {
				return "", err
			}
		}
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "bench.json"), append(b, '\n'), 0o644); err != nil {
		return "", err
	}
	return folder, os.WriteFile(filepath.Join(folder, "bench.svg"), []byte(r.svg()), 0o644)
}

// TestBenchmarkShown: picture and pages are what docs/bench.json says.
func TestBenchmarkShown(t *testing.T) {
	b, err := os.ReadFile(source.Path(measure.Folder, "bench.json"))
	var r benchReport
	if os.IsNotExist(err) {
		for path := range r.shown() {
			requireFigures(t, path, "") // none that were not measured
		}
		return
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &r))
	require.GreaterOrEqual(t, r.Rounds, benchRounds, "too few rounds to be shown")
	ratios := map[string][]float64{}
	for _, c := range r.Cases {
		require.Len(t, c.Rate, r.Rounds, c.Case)
		ratios[c.Case] = c.Ratio
	}
	r.compare()
	for _, c := range r.Cases {
		require.InDeltaSlice(t, c.Ratio, ratios[c.Case], 1e-9, c.Case)
	}
	svg, err := os.ReadFile(source.Path(measure.Folder, "bench.svg"))
	require.NoError(t, err)
	require.Equal(t, r.svg(), string(svg))
	for path, text := range r.shown() {
		requireFigures(t, path, text)
	}
}

// requireFigures sees that a page has text in its place for figures.
func requireFigures(t *testing.T, path, text string) {
	t.Helper()
	page, err := os.ReadFile(source.Path(path))
	require.NoError(t, err)
	want, err := withFigures(string(page), text)
	require.NoError(t, err)
	require.Equal(t, want, string(page), path)
}

func TestBenchmarkMedian(t *testing.T) {
	for _, c := range []struct {
		list                []float64
		middle, least, most float64
	}{
		{nil, 0, 0, 0},
		{[]float64{7}, 7, 7, 7},
		{[]float64{3, 1, 2}, 2, 1, 3},
		{[]float64{4, -1, 3, 2}, 2.5, -1, 4},
	} {
		before := append([]float64{}, c.list...)
		least, most := measure.Spread(c.list)
		require.Equal(t, []float64{c.middle, c.least, c.most}, []float64{measure.Median(c.list), least, most}, "%v", c.list)
		require.Equal(t, before, append([]float64{}, c.list...), "it sorts a copy")
	}
}

// someReport is a report of three rounds in which the machine got slower and slower.
func someReport() *benchReport {
	r := &benchReport{Rounds: 3, Seconds: 2, Cores: 2, Traefik: "3", Redis: "7", Bytes: map[string]int{"product": 11000}}
	for _, c := range []struct {
		name, base string
		rates      []float64
		cpu        float64
	}{
		{"Traefik alone, 49 kB", "Traefik alone, 49 kB", []float64{1000, 500, 100}, 0.2},
		{"hit from memory", "Traefik alone, 49 kB", []float64{3000, 1600, 310}, 0.1},
		{"hit from Redis", "Traefik alone, 49 kB", []float64{1100, 400, 110}, 0.15},
		{"1 tags", "1 tags", []float64{100, 100, 100}, 0.1},
		{"10 tags", "1 tags", []float64{95, 95, 95}, 0.1},
		{"50 tags", "1 tags", []float64{90, 90, 90}, 0.1},
		{"a < b & c", "1 tags", []float64{50, 60, 70}, 0},
	} {
		b := &benchResult{Case: c.name, Base: c.base}
		for _, rate := range c.rates {
			b.add(measured{rate: rate, p99: 1, cpu: c.cpu, alloc: 10 * c.cpu})
		}
		r.Cases = append(r.Cases, b)
	}
	r.Loads = []*benchLoad{{Case: "hit from memory", Rate: []float64{1}, P50: []float64{1, 1, 1}, P99: []float64{2, 9, 2}}}
	r.compare()
	return r
}

// TestBenchmarkRatios: rounds are compared with themselves.
func TestBenchmarkRatios(t *testing.T) {
	r := someReport()
	require.InDeltaSlice(t, []float64{3, 3.2, 3.1}, r.find("hit from memory").Ratio, 1e-9)
	table := r.table()
	require.Regexp(t, `(?m)^hit from memory +3\.10 +3\.00 +3\.20 +1600 +1\.00 +0\.100 +1\.0  Traefik alone, 49 kB$`, table)
	require.Regexp(t, `(?m)^a < b & c +0\.60 +0\.50 +0\.70 +60 +1\.00  +1 tags$`, table, "nothing was measured of Traefik")
	require.Len(t, r.groups(), 2)
	require.Contains(t, r.markdown(), "| hit from memory | 3.10 | 3.00 to 3.20 | 0.100 | 1.0 |\n")
	require.Contains(t, r.markdown(), "| **1 tags** | 1 | | 0.100 | 1.0 |\n")
}

func TestBenchmarkVerdicts(t *testing.T) {
	out := someReport().verdicts()
	for what, word := range map[string]string{
		"hit from memory, of Traefik alone": "reached", "hit from Redis": "missed", "p99 of p50 at 70 % load": "reached", "cost of up to 50 tags, of 1": "reached",
		"cost of up to 100 rules, of 1": "missed", "miss, of an origin of 20 ms": "missed", // were not measured
	} {
		require.Regexp(t, `(?m)^`+what+` .* `+word+`$`, out)
	}
	require.Equal(t, "missed", benchAim{got: math.NaN(), aim: 3, atMost: true}.word())
	require.Equal(t, "missed", benchAim{got: 3.01, aim: 3, atMost: true}.word())
	require.Equal(t, "reached", benchAim{got: 3, aim: 3, atMost: true}.word())
}

func TestBenchmarkPicture(t *testing.T) {
	r := someReport()
	svg := r.svg()
	d := xml.NewDecoder(strings.NewReader(svg))
	bars, texts := 0, ""
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		switch x := token.(type) {
		case xml.StartElement:
			if x.Name.Local == "rect" {
				bars++
			}
		case xml.CharData:
			texts += string(bytes.TrimSpace(x)) + "\n"
		}
	}
	require.Equal(t, len(r.Cases), bars)
	for _, c := range r.Cases {
		require.Contains(t, texts, c.Case+"\n"+fmt.Sprintf("%.2f\n", measure.Median(c.Ratio)))
	}
	require.Contains(t, svg, "prefers-color-scheme:dark")
	require.NotContains(t, svg, "url(", "nothing is loaded")
}

// TestBenchmarkPartly: figures of some cases are put aside and judge nothing else.
func TestBenchmarkPartly(t *testing.T) {
	r := someReport()
	r.partly, r.Rounds = true, benchRounds
	out := r.verdicts()
	require.Contains(t, out, "cost of up to 50 tags, of 1 ")
	require.NotContains(t, out, "cost of up to 100 rules, of 1 ")
	folder, err := r.write()
	require.NoError(t, err)
	require.NotEqual(t, source.Path(measure.Folder), folder)

	cases := []benchCase{{name: "a", base: "a"}, {name: "b", base: "a"}, {name: "c", base: "a"}}
	require.Equal(t, cases[:2], chosen(cases, regexp.MustCompile("^b$")), "with what it is compared with")
	require.Len(t, chosen(cases, regexp.MustCompile("")), 3)
	require.Empty(t, chosen(cases, regexp.MustCompile("d")))
}

func TestBenchmarkPlace(t *testing.T) {
	got, err := withFigures("a\n"+benchBegin+"old\n"+benchEnd+"\nb", "new\n")
	require.NoError(t, err)
	require.Equal(t, "a\n"+benchBegin+"new\n"+benchEnd+"\nb", got)
	_, err = withFigures("a", "new")
	require.Error(t, err)
	_, err = withFigures(benchBegin, "new")
	require.Error(t, err)
}

// TestBenchmarkChecksAnswers: an answer that is not what is measured is found out.
func TestBenchmarkChecksAnswers(t *testing.T) {
	c := benchCase{name: "x", cache: "; hit", status: 200, body: func(string) string { return "page" }}
	good := site.Reply{Status: 200, Header: site.Fields("Cache-Status: odoocache; hit"), Body: "page"}
	require.NoError(t, c.wrong(good, "/"))
	for name, change := range map[string]func(c *benchCase, r *site.Reply){
		"status": func(_ *benchCase, r *site.Reply) { r.Status = 502 },
		"a miss": func(_ *benchCase, r *site.Reply) {
			r.Header = site.Fields("Cache-Status: odoocache; fwd=uri-miss; stored")
		},
		"no cache":     func(_ *benchCase, r *site.Reply) { r.Header = site.Fields() },
		"body":         func(_ *benchCase, r *site.Reply) { r.Body = "pagf" },
		"not coded":    func(c *benchCase, _ *site.Reply) { c.coded = true },
		"coded":        func(_ *benchCase, r *site.Reply) { r.Header.Set("Content-Encoding", "gzip") },
		"broken":       func(c *benchCase, r *site.Reply) { c.coded = true; r.Header.Set("Content-Encoding", "gzip") },
		"not to cache": func(c *benchCase, _ *site.Reply) { c.cache = "" },
	} {
		changed, r := c, site.Reply{Status: good.Status, Header: good.Header.Clone(), Body: good.Body}
		change(&changed, &r)
		require.Error(t, changed.wrong(r, "/"), name)
	}
}
