package world

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"ironman/server/audit"
	"ironman/sim/load"
	"ironman/sim/offline"
)

// feedLimit is how long those who read the feed may take to be told of what was agreed on: a
// node that came by a snapshot fetches what its ledger lacks, and others are asked then.
const feedLimit = 30 * time.Second

// catchUp lets those who read the feed come to where the nodes agreed.
func (w *World) catchUp(ctx context.Context) {
	if w.agreed == nil {
		return
	}
	for _, r := range w.readers {
		why := errors.New("nothing was asked")
		if !w.until(feedLimit, func() bool { why = r.CatchUp(ctx, w.agreed.Events); return why == nil }) {
			w.violated("I12", "the feed of %q does not come to event %d within %v, though everything has healed: %v", r.Bucket(), w.agreed.Events, feedLimit, why)
		}
	}
}

// checkFeed compares what was told by the feed with what a node has recorded (I19): its words
// for an event are the record's, and of the cluster's feed there is one for each. Of what was
// erased meanwhile only that it happened is compared.
func (w *World) checkFeed() {
	for _, n := range w.members() {
		if n.spoiled() || n.installed() {
			continue // its ledger may have holes still
		}
		entries, err := offline.Entries(lookAt(n.disk), volumeNode+"/dir", w.agreed.Events)
		if err != nil {
			w.violated("C2", "the record of node %d: %v", n.n, err)
			return
		}
		for _, r := range w.readers {
			w.compareFeed(r, entries)
		}
		w.did("the feed is compared with the record")
		return
	}
}

func (w *World) compareFeed(r *load.Follower, entries []*audit.Entry) {
	told := make(map[uint64]string)
	for _, t := range r.Told() {
		told[t.Seq] = t.Line
	}
	for _, e := range entries {
		line, ok := told[e.Seq]
		delete(told, e.Seq)
		switch {
		case !ok && r.Bucket() == "", !ok && r.Bucket() == e.Name && mustBeTold(e):
			w.violated("I19", "the feed of %q has not told of event %d, %s of %q", r.Bucket(), e.Seq, e.Kind, e.Keys)
			return
		case !ok || e.Erased > 0 && !strings.Contains(line, `"erased":`):
		case r.Bucket() != "":
			w.compareTold(r, e, line)
		default:
			b, err := json.Marshal(e)
			if err != nil || string(b) != line {
				w.violated("I19", "the feed has told of event %d %s, the record says %s (%v)", e.Seq, line, b, err)
				return
			}
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(told)) {
		if seq < w.agreed.Events {
			w.violated("I19", "the feed of %q has told of event %d, which is not recorded: %s", r.Bucket(), seq, told[seq])
			return
		}
	}
}

// compareTold compares what a bucket's feed tells of an event, which is less.
func (w *World) compareTold(r *load.Follower, e *audit.Entry, line string) {
	var t audit.Entry
	err := json.Unmarshal([]byte(line), &t)
	if err != nil || e.Name != r.Bucket() || e.Outcome != "accepted" || t.Kind != e.Kind || !t.Time.Equal(e.Time) || t.ETag != e.ETag || t.Version != e.Version {
		w.violated("I19", "the feed of %q has told of event %d %s, the record says %+v (%v)", r.Bucket(), e.Seq, line, e, err)
	}
}

// mustBeTold tells whether a bucket's feed tells of an event: here, of those that certainly
// change what is in the bucket.
func mustBeTold(e *audit.Entry) bool {
	switch e.Kind {
	case "object_put", "upload_completed", "transaction_committed", "objects_deleted", "objects_restored":
		return e.Outcome == "accepted" && (e.Idle == nil || slices.Contains(e.Idle, false))
	}
	return false
}
