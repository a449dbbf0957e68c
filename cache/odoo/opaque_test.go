package odoo

import (
	"bufio"
	"crypto/sha1" // #nosec G505 -- digests as Odoo's modules write them, nothing is protected by them
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	mayBePath  = regexp.MustCompile(MayBePersonalPath)
	mayBeValue = regexp.MustCompile(MayBePersonalValue)
)

// inPath and inValue say what the preset's rules make of a text.
func inPath(s string) bool  { return mayBePath.MatchString("/"+s) && IsPersonalPath("/"+s) }
func inValue(s string) bool { return mayBeValue.MatchString(s) && IsPersonalValue(s) }

// longWordsOf has words of 20 letters and more, as slugs write them.
const longWordsOf = `
	datenschutzerklaerung datenschutzerklarung nutzungsbedingungen widerrufsbelehrungsmuster donaudampfschifffahrtsgesellschaft rechtsschutzversicherungsgesellschaften
	kraftfahrzeughaftpflichtversicherung lebensversicherungsgesellschaft geschwindigkeitsbegrenzung arbeitsunfahigkeitsbescheinigung grundstucksverkehrsgenehmigung
	bundesausbildungsforderungsgesetz streichholzschachtelfabrik schifffahrtskaufmannslehre luftqualitatsmessstation feuerwehrrettungshubschrauber
	privacyverklaringen verantwoordelijkheidsgevoel arbeidsongeschiktheidsverzekering aansprakelijkheidsverzekering levensverzekeringsmaatschappij kindercarnavalsoptocht
	uncharacteristically internationalization counterrevolutionaries electroencephalograph incomprehensibilities antidisestablishmentarianism
	anticonstitutionnellement intergouvernementales professionnalisation industrialisationdelaville desinstitutionnalisation
	otorrinolaringologia desproporcionadamente electroencefalografista anticonstitucionalmente inconstitucionalissimamente
	precipitevolissimevolmente incontrovertibilmente psiconeuroendocrinoimmunologia particolareggiatamente
	integritetspolicyerna fastighetsskotselforetag realisationsvinstbeskattning produktutvecklingsavdelning arbetsmarknadsutbildning
	personvernerklaeringen menneskerettighetsorganisasjon fylkestrafikksikkerhetsutvalget databehandlingsaftaler speciallaegepraksisplanlaegning
	tietosuojakaytannot lentokonesuihkuturbiinimoottori epajarjestelmallisyys kayttooikeussopimukset adatvedelmitajekoztato megszentsegtelenithetetlensegeskedeseitekert
	konstantynopolitanczykowianka przedsiebiorczosciowego najnepravdepodobnejsi zdravotnickychpomocek nejneobhospodarovavatelnejsi
	muvaffakiyetsizlestiricilestirivermek konfidentsialnostdannykh prochnostlaboratornykh konfidencialitatespolitika privatumopolitikalietuva`

// slugsOf has last parts of paths as shops and editors have them.
const slugsOf = `
	customizable-desk-9 three-seat-sofa-with-chaise-longue-42 about-us-2024 Katalog2024 Katalog-2024 COVID-19 iPhone15Pro iPhone-15 A4-Poster H2O B2B B2B-Shop ISO27001 ISO-9001 DSGVO2018
	MP3-Player USB3 Windows11 Office365 S24Ultra X5 PS5 RAL9016 LED-5W-12V Black-Friday-2024 Messe2025Hannover 4K HDMI2.1 50Jahre 3D-Druck 2024-Herbst Datenschutzerklaerung2024 DatenschutzErklaerung-2024
	AGB-Stand-2023-11 GmbH-2024 PayPal2 eBook-2 Sommer2024-Angebote Part1 Teil2 Chapter-12 v2-Launch Best-of-2023.html Preisliste2024.pdf`

// TestOpaqueKnowsNames: pages that only look like tokens are pages.
func TestOpaqueKnowsNames(t *testing.T) {
	for _, word := range strings.Fields(longWordsOf) {
		require.GreaterOrEqual(t, len(word), 19, word)
		for _, s := range []string{word, word + "2024", "2024" + word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:], word + "-" + word} {
			assert.False(t, inPath(s), s)
			assert.False(t, inValue(s), s)
		}
	}
	for _, s := range strings.Fields(slugsOf) {
		assert.False(t, inPath(s), s)
		assert.False(t, inValue(s), s)
	}
	assert.False(t, inValue("a sentence of many words, which somebody has looked for: donaudampfschifffahrt"))
}

// TestOpaqueKnowsTokens: and what is one stays one.
func TestOpaqueKnowsTokens(t *testing.T) {
	for _, s := range strings.Fields(`aZ09-_x Xy12AbQ9 S00042 KD0012345 EAN4006381333931 AB12CD34 3f2504e0-4f89-11d3-9a0c-0305e82c3301 9cdfb439c7876e70 1234567890123456
		AbCdEfGhIjKlMnOpQrStUv12 bob@example.com ticket/7/confirm a/unsubscribe logout rma/return`) {
		assert.True(t, inPath(s), s)
	}
	for _, s := range []string{"bob@example.com", "12345678901234567890", "AbCdEfGhIjKlMnOpQrStUv", "x " + strings.Repeat("a", 20) + strings.Repeat(" b", mostJudged)} {
		assert.True(t, inValue(s), s)
	}
}

// generated are tokens as Odoo and its modules generate them, and the least fraction of 20,000
// that is to be known for one in a path and in a value. All were measured; short ones and
// letters alone are known less well. Before names were told from them, 0.56 of secrets.token_urlsafe(16) were
// known in a value, since - and _ part it.
func generated(r *rand.Rand) map[string]struct {
	make        func() string
	path, value float64
} {
	const low, up, digit = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	some := func(n int) []byte { b := make([]byte, n); _, _ = r.Read(b); return b }
	pick := func(from string, n int) func() string {
		return func() string {
			b := make([]byte, n)
			for i := range b {
				b[i] = from[r.Intn(len(from))]
			}
			return string(b)
		}
	}
	hexOf := func(n int) func() string { return func() string { return hex.EncodeToString(some(n)) } }
	urlsafe := func(n int) func() string {
		return func() string { return base64.RawURLEncoding.EncodeToString(some(n)) }
	}
	return map[string]struct {
		make        func() string
		path, value float64
	}{
		"uuid.uuid4()": {func() string { // portal, sale, rating, survey: access_token
			b := some(16)
			return fmt.Sprintf("%x-%x-4%03x-%x-%x", b[:4], b[4:6], int(b[6])<<4|int(b[7])&15, b[8:10], b[10:])
		}, 1, 1},
		"uuid.uuid4().hex":          {hexOf(16), 1, 1},
		"hexdigest() of 64 bits":    {hexOf(8), 1, 0},
		"hexdigest() of SHA-1":      {func() string { h := sha1.Sum(some(8)); return hex.EncodeToString(h[:]) }, 1, 1}, // #nosec G401
		"hexdigest() of SHA-256":    {hexOf(32), 1, 1},
		"secrets.token_urlsafe(8)":  {urlsafe(8), 0.8, 0},
		"secrets.token_urlsafe(16)": {urlsafe(16), 0.98, 0.998},
		"secrets.token_urlsafe(24)": {urlsafe(24), 0.998, 0.9999},
		"secrets.token_urlsafe(32)": {urlsafe(32), 0.9995, 0.9999},
		"secrets.token_urlsafe(48)": {urlsafe(48), 0.9998, 1},
		"base64 of JSON": {func() string {
			return base64.StdEncoding.EncodeToString([]byte(`{"id": 7, "email": "` + pick(low, 9)() + `"}`))
		}, 1, 1},
		"10 letters and digits":       {pick(low+up+digit, 10), 0.76, 0}, // mail, discuss_channel.py: uuid of a channel
		"20 letters and digits":       {pick(low+up+digit, 20), 0.998, 0.998},
		"32 letters and digits":       {pick(low+up+digit, 32), 0.9999, 0.9999},
		"20 lower case, and digits":   {pick(low+digit, 20), 0.998, 0.998},
		"26 of base32":                {pick(up+"234567", 26), 0.998, 0.998},
		"20 letters in any case":      {pick(low+up, 20), 0.985, 0.985},
		"20 letters of one case":      {pick(low, 20), 0.97, 0.97},
		"32 letters of one case":      {pick(low, 32), 0.99, 0.99},
		"40 letters of one case":      {pick(up, 40), 0.997, 0.997},
		"digits, as many as a number": {pick(digit, 20), 1, 1},
	}
}

// TestOpaqueFractions measures how many generated tokens are known.
func TestOpaqueFractions(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute with the race detector")
	}
	const n = 20000
	for name := range generated(nil) {
		token := generated(rand.New(rand.NewSource(1)))[name] // the same ones in any order
		path, value := 0, 0
		for i := 0; i < n; i++ {
			s := token.make()
			if inPath(s) {
				path++
			}
			if inValue(s) {
				value++
			}
		}
		t.Logf("%-28s path %.4f, value %.4f", name, float64(path)/n, float64(value)/n)
		assert.GreaterOrEqual(t, float64(path)/n, token.path, "%s in a path", name)
		assert.GreaterOrEqual(t, float64(value)/n, token.value, "%s as a value", name)
	}
}

// written is what a slug makes of letters that have marks.
var written = strings.NewReplacer("ä", "a", "ö", "o", "ü", "u", "ß", "ss", "é", "e", "è", "e", "ê", "e", "ë", "e", "à", "a", "â", "a", "á", "a", "ã", "a", "å", "a", "ç", "c", "ñ", "n",
	"í", "i", "ì", "i", "î", "i", "ï", "i", "ó", "o", "ò", "o", "ô", "o", "õ", "o", "ø", "o", "ú", "u", "ù", "u", "û", "u", "æ", "ae", "œ", "oe", "ł", "l", "ą", "a", "ę", "e", "ś", "s", "ć", "c", "ń", "n", "ż", "z", "ź", "z")

var onlyLetters = regexp.MustCompile(`^[a-z]+$`)

// TestOpaqueDictionaries measures how many long words of the installed word lists are taken
// for tokens (Debian: wngerman, wdutch, wfrench, …): 0.0006 of the German, 0.0005 of the Dutch, none of
// the Danish, Norwegian, French, Polish, Portuguese, Swedish ones.
func TestOpaqueDictionaries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute with the race detector")
	}
	files, err := filepath.Glob("/usr/share/dict/*")
	require.NoError(t, err)
	all := 0
	for _, name := range files {
		if at, err := filepath.EvalSymlinks(name); err != nil || at != name {
			continue
		}
		words, wrong := 0, []string{}
		f, err := os.Open(filepath.Clean(name))
		require.NoError(t, err)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			word := written.Replace(strings.ToLower(lines.Text()))
			if len(word) < longRun || !onlyLetters.MatchString(word) {
				continue
			}
			if words++; inPath(word) || inValue(word) {
				wrong = append(wrong, word)
			}
		}
		_ = f.Close()
		all += words
		t.Logf("%s: %d of %d long words are taken for tokens", filepath.Base(name), len(wrong), words)
		assert.LessOrEqual(t, float64(len(wrong)), 0.002*float64(words)+1, "%s: %v", name, wrong)
	}
	if all == 0 {
		t.Skip("no word lists below /usr/share/dict")
	}
}

// TestOpaqueIsBounded: what is looked at letter by letter is short, however long a request is.
func TestOpaqueIsBounded(t *testing.T) {
	assert.True(t, OpaquePath(strings.Repeat("/datenschutzerklaerung", 30)))
	assert.True(t, opaqueValue(strings.Repeat("datenschutzerklaerung ", 30)))
	assert.False(t, OpaquePath(strings.Repeat("/datenschutzerklaerung", 20)))
}
