package cache

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"
)

// What a control request asks for, and how it is answered.

// ModeHeader says how a purge request is to be carried out: soft (or stale), or hard,
// which is what none says.
const ModeHeader = "X-Odoocache-Purge-Mode"

// purgeRequest is the JSON body of a purge request.
type purgeRequest struct {
	Tags     []string `json:"tags"`
	Paths    []string `json:"paths"`
	Prefixes []string `json:"prefixes"`
	All      bool     `json:"all"`
	Soft     bool     `json:"soft"`
}

// errorAnswer is the body of a refused control request.
type errorAnswer struct {
	Error string `json:"error"`
	Field string `json:"field,omitempty"`
}

// beginControl sets the fields of every answer to a control request.
func beginControl(h *Handler, rw http.ResponseWriter) {
	header := rw.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Add("Cache-Status", h.s.Name+"; detail=control")
}

// deny answers a request that is not carried out.
func deny(rw http.ResponseWriter, no *refusal) {
	if no.retry != "" {
		rw.Header().Set("Retry-After", no.retry)
	} else if no.status == http.StatusServiceUnavailable {
		rw.Header().Set("Retry-After", "60")
	}
	if no.status == http.StatusMethodNotAllowed {
		rw.Header().Set("Allow", "POST, PURGE")
	}
	answer(rw, no.status, errorAnswer{Error: no.problem, Field: no.field})
}

func answer(rw http.ResponseWriter, status int, body interface{}) {
	b, err := json.Marshal(body)
	if err != nil {
		status = http.StatusInternalServerError
		b = []byte(`{"error":"the answer could not be written"}`)
	}
	rw.WriteHeader(status)
	_, _ = rw.Write(append(b, '\n'))
}

// mode reads ModeHeader. One that says anything but one mode is refused: a purge is not
// carried out by half.
func mode(r *http.Request) (soft bool, no *refusal) {
	words := strings.Fields(strings.ReplaceAll(strings.Join(r.Header[ModeHeader], ","), ",", " "))
	soft = len(words) > 0 && words[0] != "hard"
	for i := 0; i < len(words); i++ {
		word := words[i]
		if (word != "soft" && word != "stale" && word != "hard") || (word != "hard") != soft {
			return false, &refusal{status: http.StatusBadRequest, reason: "mode", problem: "expected soft or hard", field: ModeHeader}
		}
	}
	return soft, nil
}

// readOrder reads the items of a request: in the purge header, in a JSON body, or in both.
func (h *Handler) readOrder(o *purgeOrder, r *http.Request) *refusal {
	if r.Method != http.MethodPost && r.Method != "PURGE" {
		return &refusal{status: http.StatusMethodNotAllowed, reason: "method", problem: "expected POST or PURGE"}
	}
	soft, no := mode(r)
	if no != nil {
		return no
	}
	*o = parsePurgeHeader(r.Header[h.s.PurgeHeader])
	o.soft = o.soft || soft
	body, no := h.bodyOf(r)
	if no != nil {
		return no
	}
	if len(strings.TrimSpace(string(body))) > 0 {
		return o.addJSON(body)
	}
	return nil
}

// unprintable is what no tag and no address can have: it cannot be sent in a header.
func unprintable(c rune) bool {
	return unicode.IsControl(c) || c == '\u2028' || c == '\u2029'
}

// addJSON adds what a JSON body asks for.
func (o *purgeOrder) addJSON(body []byte) *refusal {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return badItems("body", "expected a JSON object with tags, paths, prefixes, all and soft: "+err.Error())
	}
	var p purgeRequest
	for name, raw := range fields {
		var err error
		switch name {
		case "tags":
			err = json.Unmarshal(raw, &p.Tags)
		case "paths":
			err = json.Unmarshal(raw, &p.Paths)
		case "prefixes":
			err = json.Unmarshal(raw, &p.Prefixes)
		case "all":
			err = json.Unmarshal(raw, &p.All)
		case "soft":
			err = json.Unmarshal(raw, &p.Soft)
		default:
			err = errUnknownField
		}
		if err != nil {
			return badItems(name, err.Error())
		}
	}
	parts := []string{"tags", "paths", "prefixes"}
	lists := [][]string{p.Tags, p.Paths, p.Prefixes}
	for i := 0; i < len(parts); i++ {
		for j := 0; j < len(lists[i]); j++ {
			if strings.IndexFunc(lists[i][j], unprintable) >= 0 {
				return badItems(parts[i], "an item has a line break or another control character")
			}
		}
	}
	for i := 0; i < len(p.Tags); i++ {
		if tag := strings.TrimSpace(p.Tags[i]); tag == "*" { // as in the header
			o.all = true
		} else {
			o.tags = append(o.tags, tag)
		}
	}
	for i := 0; i < len(p.Prefixes); i++ {
		o.prefixes = append(o.prefixes, strings.TrimSuffix(p.Prefixes[i], "*"))
	}
	o.paths = append(o.paths, p.Paths...)
	o.all = o.all || p.All
	o.soft = o.soft || p.Soft
	return nil
}

var errUnknownField = errors.New("unknown field; expected tags, paths, prefixes, all or soft")

// badItems refuses what cannot be understood.
func badItems(field, problem string) *refusal {
	return &refusal{status: http.StatusBadRequest, reason: "items", problem: problem, field: field}
}

// marksOf returns the marks that carry an order out, or why there are none.
func (h *Handler) marksOf(o *purgeOrder) ([]string, *refusal) {
	if o.empty() {
		return nil, &refusal{status: http.StatusBadRequest, reason: "nothing", problem: "nothing to purge; expected tags, paths, prefixes or all", field: "body"}
	}
	if o.items() > h.s.Limits.Purge.Tags {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, reason: "too-many", problem: "more items than limits.purgeItems", field: "items"}
	}
	members, err := o.members(h.s.Limits.Purge)
	if err != nil {
		part, problem, _ := strings.Cut(err.Error(), ": ")
		return nil, badItems(part, problem)
	}
	return members, nil
}

// listed makes an empty list an empty list in JSON, too.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
