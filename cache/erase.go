package cache

import (
	"encoding/hex"
	"encoding/json"
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

// cursorForm is what a cursor is like: a number of Redis.
var cursorForm = regexp.MustCompile(`^[0-9]{1,20}$`)

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
	cursor := r.URL.Query().Get("cursor")
	if no == nil && cursor != "" && !cursorForm.MatchString(cursor) {
		no = badItems("cursor", "expected the one of an answer before, or none")
	}
	var members []string
	if no == nil {
		members, no = h.marksOf(&o)
	}
	if no == nil && cursor == "" {
		no = h.overRate()
	}
	if no != nil {
		auditRefusal(h, r, who, &o, no)
		deny(rw, no)
		return
	}
	count(h, "erase")
	done := eraseAnswer{Tenant: h.s.Tenant, All: o.all, Tags: listed(o.tags), Paths: listed(o.paths), Prefixes: listed(o.prefixes)}
	err := h.erase(&done, storage.Purge{All: o.all, Members: members}, cursor)
	if err != nil {
		auditPurge(h, r, who, &o, "queued, not erased reason=storage")
		rw.Header().Set("Retry-After", "1")
		answer(rw, http.StatusServiceUnavailable, errorAnswer{Error: err.Error()})
		return
	}
	h.sign(&done)
	auditPurge(h, r, who, &o, "erased sequence="+strconv.FormatInt(done.Sequence, 10)+" entries="+strconv.Itoa(done.Erased)+
		" bytes="+strconv.FormatInt(done.Bytes, 10)+" complete="+strconv.FormatBool(done.Complete))
	status := http.StatusOK
	if !done.Complete {
		status = http.StatusAccepted
	}
	answer(rw, status, done)
}

// erase carries a purge out, unless that was done by a request before, and removes what is purged.
func (h *Handler) erase(done *eraseAnswer, p storage.Purge, cursor string) error {
	head := h.tenant.Head()
	if cursor == "" {
		var err error
		if head, err = h.purge(p); err != nil {
			return err
		}
	}
	done.Sequence = head.Seq
	end := time.Now().Add(time.Duration(h.s.Limits.EraseTime) * time.Millisecond)
	for {
		swept, err := h.shared.tier.Sweep(h.tenant, cursor)
		if err != nil {
			return err
		}
		done.Scanned += swept.Scanned
		done.Erased += swept.Entries
		done.Bytes += swept.Bytes
		cursor = swept.Cursor
		if cursor == "" || time.Now().After(end) {
			break
		}
	}
	done.Cursor = cursor
	done.Complete = cursor == ""
	return nil
}

// sign writes what was done as a text of lines, and signs it. Without a secret there is no receipt.
func (h *Handler) sign(done *eraseAnswer) {
	items, _ := json.Marshal(map[string]interface{}{"all": done.All, "tags": done.Tags, "paths": done.Paths, "prefixes": done.Prefixes}) // texts alone
	done.Statement = strings.Join([]string{
		"odoocache erasure", "tenant " + done.Tenant, "at " + time.Now().UTC().Format(time.RFC3339), "items " + string(items),
		"sequence " + strconv.FormatInt(done.Sequence, 10), "scanned " + strconv.Itoa(done.Scanned), "erased " + strconv.Itoa(done.Erased),
		"bytes " + strconv.FormatInt(done.Bytes, 10), "complete " + strconv.FormatBool(done.Complete),
	}, "\n")
	if h.s.Purge.Secret != "" {
		done.Receipt = hex.EncodeToString(sumOf(h.s.Purge.Secret, []byte(done.Statement)))
	}
}
