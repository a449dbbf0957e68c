package odoo

import (
	"regexp"
	"strings"
)

// What makes a token a token: nobody has written it to be read. Letters follow each other
// that do so in no language, letters and digits alternate, capitals stand within words. A
// name is made of words and a number or two, however long: /datenschutzerklaerung,
// /Katalog2024, a search for one long word.

// mostJudged bounds what is looked at letter by letter, in bytes. What is longer, and may be
// a token, counts as one.
const mostJudged = 512

// longRun is the number of letters and digits in a row from which on they may be a token,
// whatever they are.
const longRun = 20

var (
	// pieces of a text are what stands between its separators.
	pieces = regexp.MustCompile(`[0-9A-Za-z]+`)
	// runs of a piece are letters alone, or digits alone.
	runs = regexp.MustCompile(`[A-Za-z]+|[0-9]+`)
	// innerCapitals are where capitals stand as they do between words alone.
	innerCapitals = regexp.MustCompile(`[a-z][A-Z]|[A-Z][A-Z][a-z]`)
	// longWords of a value may be tokens: base64 for addresses has - and _.
	longWords = regexp.MustCompile(`[0-9A-Za-z_-]{20,}`)
)

// OpaquePath reports whether a segment of a path is a token: 20 letters and digits in a
// row, or a capital and a digit, which slugs of Odoo do not have, that are no name.
func OpaquePath(path string) bool {
	if len(path) > mostJudged {
		return true
	}
	segments := strings.Split(path, "/")
	for i := 0; i < len(segments); i++ {
		mixed := strings.ContainsAny(segments[i], capitals) && strings.ContainsAny(segments[i], digits)
		if (mixed || len(segments[i]) >= longRun) && opaque(segments[i], mixed) {
			return true
		}
	}
	return false
}

// opaqueValue reports whether a part of a text is a token of 20 characters or more.
func opaqueValue(value string) bool {
	if len(value) > mostJudged {
		return true
	}
	words := longWords.FindAllString(value, -1)
	for i := 0; i < len(words); i++ {
		if opaque(words[i], strings.ContainsAny(words[i], capitals)) {
			return true
		}
	}
	return false
}

const (
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits   = "0123456789"
)

// opaque reports whether one of the pieces of a word is no name. Short pieces are looked at
// only if all are.
func opaque(word string, all bool) bool {
	list := pieces.FindAllString(word, -1)
	for i := 0; i < len(list); i++ {
		if (all || len(list[i]) >= longRun) && !isNamed(list[i]) {
			return true
		}
	}
	return false
}

// isNamed reports whether letters and digits in a row are a name, perhaps with a number
// before, after or in it: Katalog2024, A4, iPhone15Pro, ISO27001.
func isNamed(piece string) bool {
	list := runs.FindAllString(piece, 4)
	if len(list) > 3 {
		return false
	}
	longest := 0
	for i := 0; i < len(list); i++ {
		run := list[i]
		if strings.Contains(digits, run[:1]) {
			if !isNumber(run, len(list) == 1) {
				return false
			}
			continue
		}
		if !isWord(run) {
			return false
		}
		if len(run) > longest {
			longest = len(run)
		}
	}
	return len(list) < 3 || len(piece) <= 3 || longest >= 4 // H2O
}

// isNumber reports whether digits are a number that people write: a year, a size, an
// article. With zeros before it, it is one that programs count documents by.
func isNumber(run string, alone bool) bool {
	if alone {
		return len(run) < longRun
	}
	return len(run) <= 5 && (len(run) < 3 || run[0] != '0')
}

// isWord reports whether letters are a word, a few words in a row, or an abbreviation.
func isWord(run string) bool {
	inner := len(innerCapitals.FindAllString(run, -1))
	if 4*inner > len(run) {
		return false
	}
	if len(run) < 4 || len(run) == 4 && inner > 0 || len(run) <= 5 && strings.Trim(run, capitals) == "" { // GmbH, DSGVO
		return true
	}
	low := strings.ToLower(run)
	total := 0
	for i := 1; i < len(low); i++ {
		total += int(follows[int(low[i-1]-'a')*26+int(low[i]-'a')] - '0')
	}
	pairs := len(low) - 1
	if len(low) < 12 && inner == 0 {
		return total >= 5*pairs
	}
	return 10*total >= 56*pairs
}

// follows says how usual it is that one letter follows another: a line for each first
// letter, a digit for each second one. It is 4 plus the binary logarithm of how many times as
// often as by chance the two stand so in the language where they do so most, from 0 to 7.
// It was counted in the word lists and spelling dictionaries of Debian 12 of 29 languages
// (packages w* and hunspell-*), written as slugs are.
const follows = "76777666777777563777775376" +
	"76217131722513500543611062" +
	"70617007736415702565630257" +
	"73347333734425730564743146" +
	"66777575776777563777765467" +
	"51036531541515610545511032" +
	"72247254755535610565621062" +
	"62737121744546610556544041" +
	"76777574777777754777674577" +
	"73447313714345650374640004" +
	"72417216756625720576743061" +
	"74467455774765730266641263" +
	"76337222732563760373630061" +
	"74677475767657743377743275" +
	"56666564666777663777777376" +
	"71216425622523750754510031" +
	"00000000000000000000600000" +
	"75467554755667742776643257" +
	"74737447767565664477753057" +
	"73337337755545730676753567" +
	"55666554666677751777574355" +
	"71537121744425620474630073" +
	"70316003703204510250400071" +
	"50205000402100420002320320" +
	"75646442745567650576456105" +
	"73457236716645630455643066"
