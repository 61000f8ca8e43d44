package server_test

import (
	"slices"
	"strings"

	"ironman/wal/event"
)

// stage stores bytes whose event comes later, or never.
func (w *collectorWorld) stage() {
	s := &stagedBlob{body: w.body(), born: w.clock.now()}
	var err error
	s.blob, err = w.p.node.StageForTest(w.Context(), s.body)
	w.demand(err)
	w.log("stage %d bytes as %v", len(s.body), s.blob.Id)
	w.m.staged = append(w.m.staged, s)
}

// late has the event of one of the staged blobs come.
func (w *collectorWorld) late() {
	if len(w.m.staged) == 0 {
		return
	}
	w.commit(w.rng.IntN(len(w.m.staged)))
}

// commit has the event of a staged blob come, and judges what becomes of it.
func (w *collectorWorld) commit(i int) {
	s, key, now := w.m.staged[i], w.key(), w.clock.now()
	w.m.staged = slices.Delete(w.m.staged, i, i+1)
	refusal, err := w.p.node.CommitForTest(w.Context(), "collected", key, strings.Trim(etag(s.body), `"`), s.blob)
	w.demand(err)
	w.log("%v becomes %s: %v (given up %t, fenced %t)", s.blob.Id, key, refusal, s.given, s.fenced)
	accepted := refusal == event.Refusal_REFUSAL_NONE
	switch {
	case accepted && s.fenced:
		w.Errorf("%v was fenced, and an event named it all the same", s.blob.Id)
	case !accepted && !s.given && w.clock.now().Sub(s.born) < w.m.packGrace:
		w.Errorf("%v is %v old, and its event was refused: %v", s.blob.Id, w.clock.now().Sub(s.born), refusal)
	}
	if !accepted {
		w.took["late: "+refusal.String()]++
		w.p.node.AbandonForTest(s.blob)
		return
	}
	w.took["late: accepted"]++
	m := &modelBlob{blob: s.blob, body: s.body}
	w.m.blobs = append(w.m.blobs, m)
	w.m.set(key, &modelBody{blobs: []*modelBlob{m}}, now)
}

// giveUp abandons a staged blob; its event may be on its way all the same. What the
// collector has agreed on with the log is fenced.
func (w *collectorWorld) giveUp() {
	if len(w.m.staged) == 0 {
		return
	}
	i := w.rng.IntN(len(w.m.staged))
	s := w.m.staged[i]
	s.given = true
	w.log("%v is given up", s.blob.Id)
	if w.rng.IntN(2) == 0 {
		w.p.node.AbandonForTest(s.blob) // fenced once the collector comes to it
		return
	}
	_, err := w.p.node.ProposeForTest(w.Context(), event.NewDraft(nil, &event.Statement_BlobsAbandoned{
		BlobsAbandoned: &event.BlobsAbandoned{Blobs: []*event.BlobID{s.blob.Id}},
	}))
	w.demand(err)
	s.fenced = true
	if w.rng.IntN(2) == 0 {
		w.commit(i)
	}
}
