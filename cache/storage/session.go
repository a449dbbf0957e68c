package storage

import "math/rand"

// What is known of a session is one number of 16 digits, its score. From the highest bit on:
// the time until which it is known, in seconds since scoreEra; evidenceBits bits, one for each
// group of rules; the kind, of two bits. Each mark makes the time later than it was, by a
// second at least, so that one score is one state: whoever has looked at a session, and comes
// back with what that has shown, finds out whether it is as it was (Storage.Settle).
//
// A number of that size is exact in a sorted set of Redis, whose scores are floating-point.

// SessionKind is what is known of a session.
type SessionKind int

const (
	SessionUnknown SessionKind = 0 // nothing: who it is of, and since when
	SessionDefault SessionKind = 1 // it was seen to begin, and nothing since that could have changed what its pages show
	SessionSpecial SessionKind = 2 // something has happened that is known to change pages
	SessionDoubted SessionKind = 3 // something has happened of which that is not known
	SessionBegins  SessionKind = 4 // it is about to be one that is known; till then like an unknown one
)

const (
	scoreEra  = 1262304000 // Unix time: 2010-01-01. From then on to 2078 scores have 16 digits
	ScoreUnit = 1 << 22    // of a second
	// EvidenceBits is how many groups of rules are told apart.
	EvidenceBits = 20
	scoreNonces  = 1 << EvidenceBits
)

// NewSessionsEpoch returns the name of a state of what is known of sessions: random, and above
// all scores until 2044.
func NewSessionsEpoch() int64 {
	return 1<<52 + rand.Int63n(1<<52)
}

// UntilOf returns until when a score is known, in Unix ms.
func UntilOf(score int64) int64 {
	return (score/ScoreUnit + scoreEra) * 1000
}

// The kinds of scores, modulo 4.
const (
	ScoreDefault = 0
	ScoreSpecial = 1
	ScoreDoubted = 2
	ScoreBegins  = 3
)

// SessionScore makes the score of a session that is known until a time in Unix ms.
func SessionScore(until, kind int64) int64 {
	return ((until+999)/1000-scoreEra)*ScoreUnit + kind
}

// BeginningScore makes the score of a session that begins, which no other beginning has.
func BeginningScore(until int64) int64 {
	return SessionScore(until, ScoreBegins) + 4*rand.Int63n(scoreNonces)
}

// MarkedScore makes the score of a session that has another one until now, when a mark of this
// kind comes which is to be known until a time in Unix ms. What is special stays so.
func MarkedScore(score, until, kind int64) int64 {
	to := SessionScore(until, 0)
	if after := score - score%ScoreUnit + ScoreUnit; after > to {
		to = after
	}
	if score%4 == ScoreSpecial {
		kind = ScoreSpecial
	}
	return to + kind
}

// MarkKind is the kind that a mark makes.
func MarkKind(special bool) int64 {
	if special {
		return ScoreSpecial
	}
	return ScoreDoubted
}

// SettledScore makes the score of a session that has one, after what was found out when it had
// another: with a bit it may be given nobody's pages of that group of rules, with AllRules it is
// a default one. It returns 0 if the session is not as it was. One that begins is in doubt with
// its first bit.
func SettledScore(score, was int64, bit int) int64 {
	if score-score%ScoreUnit != was-was%ScoreUnit || score%4 != was%4 || was%4 == ScoreBegins && score != was {
		return 0
	}
	since := score - score%ScoreUnit
	switch {
	case bit == AllRules:
		return since
	case score%4 == ScoreBegins:
		return since + ScoreDoubted + EvidenceOf(bit)
	}
	return score | EvidenceOf(bit)
}

// AllRules stands for all bits.
const AllRules = -1

// EvidenceOf is what a bit is in a score.
func EvidenceOf(bit int) int64 {
	return 4 << uint(bit)
}

// KindOfScore reads the score of a session, at a time in Unix ms.
func KindOfScore(score, now int64) SessionKind {
	kind := score % 4
	switch {
	case score == 0:
		return SessionUnknown
	case kind == ScoreSpecial:
		return SessionSpecial
	case UntilOf(score) <= now:
		return SessionUnknown
	case kind == ScoreBegins:
		return SessionBegins
	case kind == ScoreDoubted:
		return SessionDoubted
	}
	return SessionDefault
}

// GivesNobodys reports whether a session with a score may be given nobody's pages of a group of
// rules, at a time in Unix ms: it is a default one, or evidence has shown it for these.
func GivesNobodys(score int64, bit int, now int64) bool {
	kind := score % 4
	return (kind == ScoreDefault || kind == ScoreDoubted && score&EvidenceOf(bit) != 0) && UntilOf(score) > now
}

// GivesSome reports whether a score may give nobody's pages of some rule.
func GivesSome(score int64) bool {
	return score != 0 && (score%4 == ScoreDefault || score%4 == ScoreDoubted && score%ScoreUnit > ScoreDoubted)
}
