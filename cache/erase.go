package cache

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/odoocache/odoocache/cache/storage"
)

// An erasure is a purge that waits until what it names is gone from Redis, and says so in writing.

// eraseAnswer tells what an erasure has done.
type eraseAnswer struct {
	Tenant    string   `json:"tenant"`
	All       bool     `json:"all"`
	Tags      []string `json:"tags"`
	Paths     []string `json:"paths"`
	Prefixes  []string `json:"prefixes"`
	Sequence  int64    `json:"sequence"`  // number of the purge in its tenant
	Scanned   int      `json:"scanned"`   // entries that were looked at
	Erased    int      `json:"erased"`    // of these, those that were removed
	Bytes     int64    `json:"bytes"`     // of these
	Complete  bool     `json:"complete"`  // nothing is left
	Cursor    string   `json:"cursor"`    // with which to ask again, empty if complete
	Statement string   `json:"statement"` // the same, as it is signed
	Receipt   string   `json:"receipt"`   // HMAC-SHA256 of the statement under the secret, in hexadecimal digits
}

// cursorForm is what a cursor is like: one of Redis, the number of the purge, and a sum of both and
// of what was asked for: whoever goes on has begun.
var cursorForm = regexp.MustCompile(`^([0-9]{1,20})-([0-9]{1,19})-([0-9a-f]{32})$`)

// cursorSum is by what a cursor is known again. Without a secret it is of this process.
func (h *Handler) cursorSum(o *purgeOrder, at, sequence string) string {
	key := h.s.Purge.Secret
	if key == "" {
		key = h.shared.token
	}
	return hex.EncodeToString(sumOf(key, []byte(strings.Join([]string{"odoocache erasure cursor", h.s.Tenant, at, sequence, itemsOf(o)}, "\n"))))[:32]
}

// itemsOf writes what is asked for, always in the same way.
func itemsOf(o *purgeOrder) string {
	items, _ := json.Marshal(map[string]interface{}{"all": o.all, "tags": listed(o.tags), "paths": listed(o.paths), "prefixes": listed(o.prefixes)}) // texts alone
	return string(items)
}

// goesOn reads a cursor: where Redis goes on, and the number of the purge.
func (h *Handler) goesOn(o *purgeOrder, cursor string) (at string, sequence int64, no *refusal) {
	parts := cursorForm.FindStringSubmatch(cursor)
	if parts == nil || !hmac.Equal([]byte(h.cursorSum(o, parts[1], parts[2])), []byte(parts[3])) {
		return "", 0, badItems("cursor", "expected the one of the answer to the same items, or none")
	}
	sequence, _ = strconv.ParseInt(parts[2], 10, 64)
	return parts[1], sequence, nil
}

// eraseByRequest purges what a request names, and removes what is purged, for limits.eraseTime at most.
// With a cursor it goes on where another request has stopped.
func (h *Handler) eraseByRequest(rw http.ResponseWriter, r *http.Request, who authority) {
	o := purgeOrder{}
	no := h.readOrder(&o, r)
	if no == nil && r.Method != http.MethodPost {
		no = &refusal{status: http.StatusMethodNotAllowed, reason: "method", problem: "expected POST"}
	}
	if no == nil && o.soft {
		no = badItems("soft", "what is erased cannot be shown once more; expected a hard purge")
	}
	var members []string
	if no == nil {
		members, no = h.marksOf(&o)
	}
	at, sequence, goesOn := "", int64(0), false
	if cursor := r.URL.Query().Get("cursor"); no == nil && cursor != "" {
		at, sequence, no = h.goesOn(&o, cursor)
		goesOn = true
	}
	if no == nil && !goesOn {
		no = h.overRate()
	}
	if no != nil {
		auditRefusal(h, r, who, &o, no)
		deny(rw, no)
		return
	}
	count(h, "erase")
	done := eraseAnswer{Tenant: h.s.Tenant, All: o.all, Tags: listed(o.tags), Paths: listed(o.paths), Prefixes: listed(o.prefixes)}
	var err error
	if goesOn {
		err = h.mayGoOn(sequence)
	} else {
		sequence, err = h.begun(&o, members)
	}
	if err == nil {
		done.Sequence = sequence
		err = h.sweep(&o, &done, at)
	}
	if err != nil {
		auditPurge(h, r, who, &o, "queued or done, not erased reason=storage")
		rw.Header().Set("Retry-After", "1")
		answer(rw, http.StatusServiceUnavailable, errorAnswer{Error: err.Error()})
		return
	}
	h.sign(&o, &done)
	auditPurge(h, r, who, &o, "erased sequence="+strconv.FormatInt(done.Sequence, 10)+" entries="+strconv.Itoa(done.Erased)+
		" bytes="+strconv.FormatInt(done.Bytes, 10)+" complete="+strconv.FormatBool(done.Complete))
	status := http.StatusOK
	if !done.Complete {
		status = http.StatusAccepted
	}
	answer(rw, status, done)
}

// begun carries the purge out that an erasure begins with, and returns its number.
func (h *Handler) begun(o *purgeOrder, members []string) (int64, error) {
	head, err := h.purge(storage.Purge{All: o.all, Members: members})
	return head.Seq, err
}

// errBehind says that this process does not know the purge that an erasure has begun with.
var errBehind = fmt.Errorf("%w: the purge that this has begun with is not known here yet", storage.ErrUnavailable)

// mayGoOn reports whether what a purge has made wrong is known here: another process may have begun.
func (h *Handler) mayGoOn(sequence int64) error {
	if h.tenant.Head().Seq < sequence {
		if known, _ := h.shared.tier.Confirm(h.tenant); !known || h.tenant.Head().Seq < sequence {
			return errBehind
		}
	}
	return nil
}

// sweep removes what is purged, for limits.eraseTime at most.
func (h *Handler) sweep(o *purgeOrder, done *eraseAnswer, at string) error {
	end := time.Now().Add(time.Duration(h.s.Limits.EraseTime) * time.Millisecond)
	for {
		swept, err := h.shared.tier.Sweep(h.tenant, at)
		if err != nil {
			return err
		}
		done.Scanned += swept.Scanned
		done.Erased += swept.Entries
		done.Bytes += swept.Bytes
		at = swept.Cursor
		if at == "" || time.Now().After(end) {
			break
		}
	}
	if at != "" {
		number := strconv.FormatInt(done.Sequence, 10)
		done.Cursor = at + "-" + number + "-" + h.cursorSum(o, at, number)
	}
	done.Complete = at == ""
	return nil
}

// sign writes what was done as a text of lines, and signs it. Without a secret there is no receipt.
func (h *Handler) sign(o *purgeOrder, done *eraseAnswer) {
	done.Statement = strings.Join([]string{
		"odoocache erasure", "tenant " + done.Tenant, "at " + time.Now().UTC().Format(time.RFC3339), "items " + itemsOf(o),
		"sequence " + strconv.FormatInt(done.Sequence, 10), "scanned " + strconv.Itoa(done.Scanned), "erased " + strconv.Itoa(done.Erased),
		"bytes " + strconv.FormatInt(done.Bytes, 10), "complete " + strconv.FormatBool(done.Complete),
	}, "\n")
	if h.s.Purge.Secret != "" {
		done.Receipt = hex.EncodeToString(sumOf(h.s.Purge.Secret, []byte(done.Statement)))
	}
}
