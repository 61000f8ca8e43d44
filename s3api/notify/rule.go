package notify

import (
	"bytes"
	"strings"

	"ironman/s3api/s3xml"
)

// Rule is one configuration of a bucket. Immutable.
type Rule struct {
	ID     string
	Target string // the webhook's name
	events []string
	prefix string
	suffix string
}

// Rules reads a stored document.
func Rules(text []byte) ([]Rule, error) {
	var doc s3xml.NotificationConfiguration
	if err := s3xml.Decode(bytes.NewReader(text), int64(len(text)), &doc); err != nil {
		return nil, err
	}
	all := doc.All()
	out := make([]Rule, len(all))
	for i, n := range all {
		out[i] = Rule{ID: n.ID, events: n.Events}
		out[i].Target, _ = s3xml.WebhookName(n.Target())
		out[i].prefix, out[i].suffix = n.Affixes()
	}
	return out, nil
}

// Wants tells whether the rule's target is told of h.
func (r *Rule) Wants(h *Happening) bool {
	if !strings.HasPrefix(h.Key, r.prefix) || !strings.HasSuffix(h.Key, r.suffix) {
		return false
	}
	for _, e := range r.events {
		pattern := strings.TrimPrefix(e, "s3:")
		if stem, all := strings.CutSuffix(pattern, "*"); pattern == h.Name || all && strings.HasPrefix(h.Name, stem) {
			return true
		}
	}
	return false
}
