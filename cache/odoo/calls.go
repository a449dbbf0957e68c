package odoo

import (
	"encoding/json"
	"strings"
)

// CallBytes is the longest body of a call that is looked at, in bytes.
const CallBytes = 4096

// chatSession is the end of the path by which a live chat begins.
const chatSession = "/get_session"

// reads are what pages ask Odoo's mail store for that changes nothing (mail/controllers/
// webclient.py and discuss/channel.py, im_livechat/controllers/webclient.py,
// website_livechat/controllers/webclient.py: _process_request_for_all and its kin). A chat that
// an operator has begun is a cookie of its own, and a sign in the page.
var reads = map[string]bool{
	"init_messaging": true, "init_livechat": true, "failures": true, "systray_get_activities": true, "mail.thread": true,
	"mail.canned.response": true, "canned_responses": true, "discuss.channel": true, "channels_as_member": true, "avatar_card": true,
	"im_livechat.channel": true, "livechat_channels": true,
	"context": true, // Odoo 18: beside the names; it names none
}

// OnlyReads reports whether a call changes nothing, by its path, which one of Calls takes, and its
// body. A call of Odoo's mail store names things alone that are read. In
// Odoo 19 the names are in a list, each alone or with what belongs to it; in Odoo 18 they
// are the names of the parameters.
//
// A window of the live chat that opens asks who would answer. Nothing is kept of it, and nobody
// is told, until its visitor writes (im_livechat/controllers/main.py, get_session: persisted).
func OnlyReads(path string, body []byte) bool {
	call, params := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if json.Unmarshal(body, &call) != nil || json.Unmarshal(call["params"], &params) != nil || len(params) == 0 {
		return false
	}
	if strings.HasSuffix(path, chatSession) {
		return string(params["persisted"]) == "false"
	}
	list, listed := params["fetch_params"]
	if !listed {
		for name := range params {
			if !reads[name] {
				return false
			}
		}
		return true
	}
	var names []json.RawMessage
	if json.Unmarshal(list, &names) != nil {
		return false
	}
	for i := 0; i < len(names); i++ {
		if !reads[nameOf(names[i])] {
			return false
		}
	}
	return true
}

// nameOf is the name in an entry of the list, empty if there is none.
func nameOf(entry json.RawMessage) string {
	name := ""
	if json.Unmarshal(entry, &name) == nil {
		return name
	}
	var parts []json.RawMessage
	if json.Unmarshal(entry, &parts) != nil || len(parts) == 0 || json.Unmarshal(parts[0], &name) != nil {
		return ""
	}
	return name
}
