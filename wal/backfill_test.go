package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/merkle"
)

// TestBackfill fills gaps of every shape: what the archive ends at, what the queue
// begins with, what the log begins with, and how much is applied.
func TestBackfill(t *testing.T) {
	h := newHistory(t, "here", 1300)
	for _, c := range []struct {
		name       string
		archived   int // A
		queued     int // Q
		log        func(seq uint64) bool
		applied    int // T
		peers      []int
		want       int
		fromOthers []uint64 // bundles
	}{
		{"nothing is missing", 0, 0, since(0), 600, []int{1280}, 512, nil},
		{"the queue begins with the second bundle", 0, 256, since(256), 600, []int{1280}, 512, []uint64{0}},
		{"right before it", 0, 255, since(255), 600, []int{1280}, 512, []uint64{0}},
		{"right behind it", 0, 257, since(257), 600, []int{1280}, 512, []uint64{0, 1}},
		{"an archive that was behind", 256, 900, since(900), 1300, []int{1280}, 1280, []uint64{1, 2, 3}},
		{"queued, but without entries", 0, 0, since(600), 900, []int{1280}, 768, []uint64{0, 1, 2}},
		{"queued since the archive's end, without entries", 256, 256, since(512), 900, []int{1280}, 768, []uint64{1}},
		{"entries since the middle of the queue", 0, 300, since(700), 1300, []int{1280}, 1280, []uint64{0, 1, 2}},
		{"a hole in the log", 0, 100, func(seq uint64) bool { return seq < 400 || seq >= 900 }, 1300, []int{1280}, 1280, []uint64{0, 1, 2, 3}},
		{"a hole behind a bundle that is here", 0, 0, func(seq uint64) bool { return seq < 300 || seq >= 512 }, 800, []int{1280}, 768, []uint64{1}},
		{"no queue, whole bundles", 0, 1024, since(1024), 1024, []int{1280}, 1024, []uint64{0, 1, 2, 3}},
		{"no queue", 0, 1000, since(1000), 1000, []int{1280}, 768, []uint64{0, 1, 2}},
		{"the gap ends in the last bundle", 0, 700, since(700), 760, []int{1280}, 512, []uint64{0, 1}},
		{"less than a bundle", 0, 100, since(100), 200, []int{1280}, 0, nil},
		{"the state is behind the archive", 512, 400, since(400), 450, []int{1280}, 512, nil},
		{"the first peer is behind", 0, 900, since(900), 1300, []int{512, 0, 1280}, 1280, []uint64{0, 1, 2, 3}},
		{"the peer ends where the state does", 0, 900, since(900), 1300, []int{1280}, 1280, []uint64{0, 1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFiller(t, h, c.archived, c.queued, c.applied, c.log)
			for _, size := range c.peers {
				f.add(newPeer(t, h, size))
			}
			f.run(t.Context())
			f.check(c.want)
			got := slices.Compact(f.peers[f.names()[len(c.peers)-1]].firsts())
			for i := range got {
				got[i] /= ledger.BundleSize
			}
			if !slices.Equal(slices.Compact(got), c.fromOthers) {
				t.Errorf("bundles %v came from others instead of %v", got, c.fromOthers)
			}
			begun := len(f.lines.with("level=INFO", "records come from peers"))
			if ended := len(f.lines.with("level=INFO", "records from peers are archived", "took=")); begun != ended || (begun > 0) != (len(c.fromOthers) > 0) {
				t.Errorf("%d back-fills began, %d ended", begun, ended)
			}
		})
	}
}

// TestBackfillWhileGrowing: events go on while a gap is filled, and a bundle that
// the gap ends in waits until it is whole.
func TestBackfillWhileGrowing(t *testing.T) {
	h := newHistory(t, "here", 1300)
	f := newFiller(t, h, 0, 700, 760, since(700))
	p := f.add(newPeer(t, h, 512))
	p.tamper = func(r recordsRequest, answer []byte) ([]byte, error) {
		f.state.grow(min(1300, int(f.state.applied)+130))
		if size := int(f.state.applied) / 256 * 256; size > int(p.archive.Size()) && r.from > 0 {
			return answer, p.archive.Append(h.records[p.archive.Size():size])
		}
		return answer, nil
	}
	f.run(t.Context())
	if f.state.applied < 1000 {
		t.Fatalf("it grew to %d only", f.state.applied)
	}
	f.state.grow(1300)
	f.run(t.Context())
	f.check(1280)
	for _, from := range p.firsts() {
		if from >= 768 {
			t.Errorf("event %d was asked for, though it is here", from)
		}
	}
}

// TestBackfillProgress: the range that is missing is told while it is fetched.
func TestBackfillProgress(t *testing.T) {
	h := newHistory(t, "here", 5000)
	f := newFiller(t, h, 256, 4000, 5000, since(4000))
	n := &Node{}
	if from, to := n.Backfilling(); from != to || n.Archived() != 0 {
		t.Fatal("a node without a ledger fills it")
	}
	n.archiver.Store(f.archiver)
	var seen []uint64
	f.add(newPeer(t, h, 4864)).tamper = func(r recordsRequest, answer []byte) ([]byte, error) {
		from, to := n.Backfilling()
		if to != 4096 || from != n.Archived() || r.from < from {
			t.Errorf("%d to %d at %d", from, to, r.from)
		}
		seen = append(seen, from)
		return answer, nil
	}
	f.run(t.Context())
	if got := slices.Compact(seen); !slices.Equal(got, []uint64{256, 256 + archiveBatch}) {
		t.Errorf("the ledger rose over %v", got)
	}
	if from, to := n.Backfilling(); from != 0 || to != 0 {
		t.Errorf("from %d to %d behind the end", from, to)
	}
}

// edited changes the extract in an answer.
func edited(t testing.TB, r recordsRequest, answer []byte, change func(x *ledger.Extract)) []byte {
	t.Helper()
	a, err := decodeRecordsAnswer(answer, r.offset)
	if err != nil || len(a.part) != int(a.total) {
		t.Fatalf("%v: %d bytes of %d", err, len(a.part), a.total)
	}
	x, err := ledger.DecodeExtract(r.from, bytes.Clone(a.part))
	if err != nil {
		t.Fatal(err)
	}
	change(x)
	return partOf(x.Encode(), 0, a.archived).encode()
}

// TestLyingPeers: whatever a peer sends, the ledger holds what the state commits
// to. The lie is named, the liar is left alone, and others are asked.
func TestLyingPeers(t *testing.T) {
	h, foreign := newHistory(t, "here", 800), newHistory(t, "elsewhere", 800)
	edit := func(change func(x *ledger.Extract)) func(recordsRequest, []byte) ([]byte, error) {
		return func(r recordsRequest, answer []byte) ([]byte, error) {
			if r.from != 256 {
				return answer, nil
			}
			return edited(t, r, answer, change), nil
		}
	}
	raw := func(change func(answer []byte) []byte) func(recordsRequest, []byte) ([]byte, error) {
		return func(r recordsRequest, answer []byte) ([]byte, error) {
			if r.from != 256 {
				return answer, nil
			}
			return change(answer), nil
		}
	}
	for _, c := range []struct {
		name   string
		seq    int // that the log names; -1: it is no lie
		h      *history
		tamper func(recordsRequest, []byte) ([]byte, error)
	}{
		{"envelope", 262, h, edit(func(x *ledger.Extract) { x.Records[6].Envelope[30] ^= 1 })},
		{"statement", 263, h, edit(func(x *ledger.Extract) { x.Records[7].Statement[4] ^= 1 })},
		{"item", 264, h, edit(func(x *ledger.Extract) { x.Records[8].Items[1].Bytes[4] ^= 1 })},
		{"outcome", 265, h, edit(func(x *ledger.Extract) { x.Records[9].Outcome[1] ^= 1 })},
		{"outcome by hash", 263, h, edit(func(x *ledger.Extract) { x.Records[7].Outcome[1] ^= 1 })},
		{"an item said to be erased", 266, h, edit(func(x *ledger.Extract) { x.Records[10].Items[0] = ledger.Item{Erased: true} })},
		{"an item is missing", 266, h, edit(func(x *ledger.Extract) { x.Records[10].Items = x.Records[10].Items[1:] })},
		{"swapped", 300, h, edit(func(x *ledger.Extract) {
			a, b := &x.Records[44], &x.Records[45]
			*a, *b = ledger.Record{Seq: a.Seq, Envelope: b.Envelope, Payload: b.Payload}, ledger.Record{Seq: b.Seq, Envelope: a.Envelope, Payload: a.Payload}
		})},
		{"another bundle", 256, h, func(r recordsRequest, answer []byte) ([]byte, error) {
			if r.from != 256 {
				return answer, nil
			}
			return newPeer(t, h, 768).ask(encodeRecordsRequest(recordsRequest{from: 0, size: r.size}))
		}},
		{"another cluster", 0, foreign, nil},
		{"fewer records", -1, h, edit(func(x *ledger.Extract) { x.Records = x.Records[:5] })},
		{"no records", 256, h, edit(func(x *ledger.Extract) { x.Records = nil })},
		{"nothing", 256, h, raw(func([]byte) []byte { return nil })},
		{"cut", 256, h, raw(func(b []byte) []byte { return b[:len(b)-1] })},
		{"longer", 256, h, raw(func(b []byte) []byte { return append(b, 0) })},
		{"too large", 256, h, raw(func([]byte) []byte {
			return (&recordsAnswer{archived: 768, total: ledger.MaxExtractBytes + 1, part: make([]byte, partBytes)}).encode()
		})},
		{"a newer release", -1, h, raw(func(b []byte) []byte { b[0] = 2; return b })},
		{"a newer extract", -1, h, raw(func(b []byte) []byte { b[recordsAnswerSize] = 2; return b })},
		{"not archived", -1, h, raw(func([]byte) []byte { return (&recordsAnswer{archived: 300}).encode() })},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFiller(t, h, 0, 768, 800, since(768))
			liar, honest := newPeer(t, c.h, 768), newPeer(t, h, 768)
			liar.tamper = c.tamper
			f.add(liar)
			f.add(honest)
			f.run(t.Context())
			f.check(768)
			reports := f.lines.with("level=WARN", "do not verify", "peer=node-2", fmt.Sprintf("seq=%d", c.seq))
			if all := f.lines.with("do not verify"); len(all) != len(reports) || (len(reports) == 1) != (c.seq >= 0) {
				t.Errorf("reported: %q", all)
			}
			if asked := liar.firsts(); c.seq >= 0 && asked[len(asked)-1] != uint64(c.seq)/256*256 {
				t.Errorf("the liar is asked again: %d", asked)
			}
		})
	}
}

// TestFlippedAnywhere flips bits all over an answer. The records are never anything
// else for it.
func TestFlippedAnywhere(t *testing.T) {
	h := newHistory(t, "here", 256)
	answer, err := newPeer(t, h, 256).ask(encodeRecordsRequest(recordsRequest{size: 256}))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	f := newFiller(t, h, 0, 256, 256, since(256))
	g := &gap{to: 256, edge: merkle.New()}
	g.tree.N, g.tree.Hash = 256, h.edges[256].Root()
	f.add(newPeer(t, h, 256)).tamper = func(_ recordsRequest, _ []byte) ([]byte, error) {
		bad := bytes.Clone(answer)
		bad[at] ^= 1 << (at % 8)
		return bad, nil
	}
	for at = 0; at < len(answer); at += 173 * backfillStride {
		if err := f.take(t.Context(), "node-2", g); err == nil {
			if at < 1 || at >= 9 { // the number of archived events is only told
				t.Fatalf("byte %d changed, and nothing noticed", at)
			}
			for i := range g.records {
				if !bytes.Equal(g.records[i].Envelope, h.records[i].Envelope) {
					t.Fatal("another record")
				}
			}
			*g = gap{to: 256, edge: merkle.New(), tree: g.tree}
		}
	}
	if g.next != 0 || len(g.records) != 0 || g.edge.Size() != 0 {
		t.Fatal("a lie has moved the back-fill")
	}
}

// TestDistrustEnds: a liar is asked again after a while, and serves if it is cured.
func TestDistrustEnds(t *testing.T) {
	h := newHistory(t, "here", 600)
	f := newFiller(t, h, 0, 512, 600, since(512))
	asked := 0
	p := f.add(newPeer(t, h, 512))
	p.tamper = func(r recordsRequest, answer []byte) ([]byte, error) {
		if asked++; asked > 1 {
			return answer, nil
		}
		return edited(t, r, answer, func(x *ledger.Extract) { x.Records[0].Statement[0] ^= 1 }), nil
	}
	ticks := 0
	f.archiver.now = func() time.Time { // time passes as it is looked at
		ticks++
		return time.Unix(1, 0).Add(time.Duration(ticks) * 5 * time.Second)
	}
	f.run(t.Context())
	f.check(512)
	if ticks < 12 {
		t.Errorf("asked again after %d looks at the clock", ticks)
	}
}

// TestPeerDies: another one goes on where it was, with nothing fetched twice.
func TestPeerDies(t *testing.T) {
	h := newHistory(t, "here", 1300)
	f := newFiller(t, h, 0, 1200, 1300, since(1200))
	f.pace.retry = time.Hour
	dying, other := f.add(newPeer(t, h, 1280)), f.add(newPeer(t, h, 1280))
	dying.tamper = func(r recordsRequest, answer []byte) ([]byte, error) {
		if r.from >= 512 {
			return nil, errors.New("connection reset")
		}
		return answer, nil
	}
	f.run(t.Context())
	f.check(1280)
	if got := dying.firsts(); !slices.Equal(slices.Compact(got), []uint64{0, 256, 512}) {
		t.Errorf("the first peer was asked for %v", got)
	}
	if got := other.firsts(); !slices.Equal(got, []uint64{512, 768, 1024}) {
		t.Errorf("the other peer was asked for %v", got)
	}
}

// TestNobodyServes: the archiver waits, says so now and then, keeps queue and log,
// and goes on once somebody serves.
func TestNobodyServes(t *testing.T) {
	h := newHistory(t, "here", 800)
	f := newFiller(t, h, 0, 300, 800, since(600))
	gone := f.add(newPeer(t, h, 768))
	gone.tamper = func(recordsRequest, []byte) ([]byte, error) { return nil, errors.New("connection refused") }
	behind := f.add(newPeer(t, h, 256))
	seconds, rounds := 0, 0
	f.archiver.now = func() time.Time { // a second passes whenever it is looked at
		seconds++
		return time.Unix(int64(seconds), 0)
	}
	behind.tamper = func(r recordsRequest, answer []byte) ([]byte, error) {
		if f.archive.Size() != 0 || f.state.queued != 300 || f.log.archived != 0 {
			t.Error("something moved")
		}
		if rounds++; rounds == 50 {
			return answer, behind.archive.Append(h.records[256:768])
		}
		return answer, nil
	}
	f.run(t.Context())
	f.check(768)
	said := f.lines.with("level=WARN", "waiting for records", "next=0", "to=768", "node-2: connection refused", "node-3: it has archived 256 events of 768")
	if minutes := seconds / 60; len(said) < 3 || len(said) > 1+minutes {
		t.Errorf("said %d times in %d minutes: %q", len(said), minutes, said)
	}
}

// TestBackfillStops: a node that waits for its peers can be closed.
func TestBackfillStops(t *testing.T) {
	h := newHistory(t, "here", 600)
	f := newFiller(t, h, 0, 512, 600, since(512))
	ctx, cancel := context.WithCancel(t.Context())
	f.add(newPeer(t, h, 512)).tamper = func(recordsRequest, []byte) ([]byte, error) {
		cancel()
		return nil, ctx.Err()
	}
	f.pace.retry = time.Hour
	if more, err := f.step(ctx); more || err != nil {
		t.Fatalf("%v, %v", more, err)
	}
	if f.reach.Load() != 0 || f.archive.Size() != 0 {
		t.Fatal("it goes on")
	}
}

// TestNoPeers: a node alone that misses entries stops, as it always has.
func TestNoPeers(t *testing.T) {
	h := newHistory(t, "here", 600)
	f := newFiller(t, h, 0, 0, 600, since(300))
	f.archiver.peers = ledgerPeers{}
	if _, err := f.step(t.Context()); err == nil || !strings.Contains(err.Error(), "events 0 to 511") {
		t.Fatalf("got %v", err)
	}
}

// TestOwnStateContradicts: a queued leaf that is not the tree's, and an archive that
// is not the state's past, are never archived over.
func TestOwnStateContradicts(t *testing.T) {
	h, foreign := newHistory(t, "here", 600), newHistory(t, "elsewhere", 600)
	f := newFiller(t, h, 0, 200, 600, since(600))
	f.add(newPeer(t, h, 512))
	f.state.tampered = map[uint64][]byte{301: h.leaves[302].Envelope}
	if _, err := f.step(t.Context()); err == nil || !strings.Contains(err.Error(), "event 301") {
		t.Errorf("a queued leaf that is another one: %v", err)
	}
	f.untouched(0)

	f = newFiller(t, h, 0, 512, 600, since(512))
	f.archiver = f.over(archived(t, f.fs, foreign, 256))
	f.add(newPeer(t, h, 512))
	const says = "does not join the first 256 sequences of this node's ledger"
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	f.pace.retry = time.Hour
	go func() {
		for ctx.Err() == nil && len(f.lines.with(says)) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if more, err := f.step(ctx); more || err != nil {
		t.Errorf("another past: %v, %v", more, err)
	}
	f.untouched(256)
	if len(f.lines.with(says)) == 0 {
		t.Error("nothing says so")
	}
}

// TestForeignArchive: the ledger of another history is not written on.
func TestForeignArchive(t *testing.T) {
	h, foreign := newHistory(t, "here", 600), newHistory(t, "elsewhere", 600)
	f := newFiller(t, h, 0, 0, 600, since(0))
	f.archiver = f.over(archived(t, f.fs, foreign, 256))
	if _, err := f.step(t.Context()); err == nil || !strings.Contains(err.Error(), "do not make the tree") {
		t.Errorf("got %v", err)
	}
	if f.archive.Size() != 256 {
		t.Errorf("%d events archived", f.archive.Size())
	}
}

// untouched expects that nothing was archived.
func (f *filler) untouched(size uint64) {
	f.t.Helper()
	if f.archive.Size() != size || f.log.archived != 0 {
		f.t.Errorf("%d events archived, log up to %d", f.archive.Size(), f.log.archived)
	}
}

// TestBackfillErased: what peers have erased stays erased, with its hash.
func TestBackfillErased(t *testing.T) {
	h := newHistory(t, "here", 600)
	f := newFiller(t, h, 0, 512, 600, since(512))
	p := f.add(newPeer(t, h, 512))
	f.state.erased = []ledger.Target{{Seq: 7}, {Seq: 300, Items: []int{1}}}
	if err := p.archive.Erase(f.state.erased); err != nil {
		t.Fatal(err)
	}
	f.run(t.Context())
	sameFiles(t, ledgerFiles(t, f.fs), ledgerFiles(t, p.fs))
	verifyMissing(t, f.archive, 7)
	got, err := f.archive.Payload(300)
	if err != nil || got.Items[0].Erased || !got.Items[1].Erased || got.Items[1].Hash != event.ItemHash(h.records[300].Items[1].Bytes) {
		t.Fatalf("%+v, %v", got.Items, err)
	}
}

// verifyMissing expects that nothing is wrong with a ledger but that items are gone, from an event on:
// the history has no erasures.
func verifyMissing(t *testing.T, a *ledger.Archive, seq uint64) {
	t.Helper()
	d := (*ledger.Damage)(nil)
	if err := a.Verify(t.Context(), nil); !errors.As(err, &d) || d.Seq != seq || !errors.Is(err, ledger.ErrMissing) {
		t.Fatal(err)
	}
}

// TestBackfillBelievesNoErasure: a peer that says of items that they were erased, of which this
// node's state knows nothing, is not believed; whoever has them is asked. Where it was only ahead
// it is not taken for a liar: what it has is taken once the state knows of the erasure.
func TestBackfillBelievesNoErasure(t *testing.T) {
	h := newHistory(t, "here", 600)
	f := newFiller(t, h, 0, 512, 600, since(512))
	ahead, whole := f.add(newPeer(t, h, 512)), f.add(newPeer(t, h, 512))
	gone := []ledger.Target{{Seq: 3, Items: []int{0}}, {Seq: 7}, {Seq: 300, Items: []int{1}}}
	if err := ahead.archive.Erase(gone); err != nil {
		t.Fatal(err)
	}
	f.state.erased = []ledger.Target{gone[0], {Seq: 7, Items: []int{1}}} // all of 3, but not of 7
	f.run(t.Context())
	p, err := f.archive.Payload(7)
	if err != nil || p.Items[0].Erased || !p.Items[1].Erased {
		t.Fatalf("event 7 is archived as %+v, %v", p.Items, err)
	}
	if p, err = f.archive.Payload(300); err != nil || p.Items[1].Erased {
		t.Fatalf("event 300 is archived as %+v, %v", p.Items, err)
	}
	if len(whole.asked) == 0 || len(f.lines.with("do not verify")) != 0 {
		t.Errorf("the other peer was asked %d times; said %q", len(whole.asked), f.lines.with("do not verify"))
	}

	// Nobody else has it.
	f = newFiller(t, h, 0, 512, 600, since(512))
	alone, asked := f.add(newPeer(t, h, 512)), 0
	if err := alone.archive.Erase(gone); err != nil {
		t.Fatal(err)
	}
	alone.tamper = func(_ recordsRequest, answer []byte) ([]byte, error) {
		if asked++; asked > 5 {
			f.state.erased = gone
		}
		if f.archive.Size() > 0 && asked <= 5 {
			t.Error("something was archived before the state knew of the erasure")
		}
		return answer, nil
	}
	f.run(t.Context())
	sameFiles(t, ledgerFiles(t, f.fs), ledgerFiles(t, alone.fs))
	if asked < 6 || len(f.lines.with("do not verify")) != 0 {
		t.Errorf("asked %d times; said %q", asked, f.lines.with("do not verify"))
	}
}

// TestBackfillLarge: bundles of more than an answer, and records of more than one,
// with an erasure between two parts of one.
func TestBackfillLarge(t *testing.T) {
	h := newHistory(t, "here", 100)
	for len(h.records) < 300 {
		size := 10
		switch len(h.records) {
		case 100, 101, 250: // as long as a proposal can be
			size = event.MaxProposalBytes - 200
		case 120, 121, 122:
			size = 300 << 10
		}
		h.add(t, "here", size, false)
	}
	f := newFiller(t, h, 0, 256, 300, since(256))
	p := f.add(newPeer(t, h, 256))
	parts, whole := 0, 0
	p.tamper = func(r recordsRequest, answer []byte) ([]byte, error) {
		if len(answer) > partBytes+recordsAnswerSize {
			t.Errorf("an answer of %d bytes", len(answer))
		}
		if whole++; r.offset > 0 {
			parts++
		}
		if r.from == 100 && r.offset == partBytes && parts == 1 {
			f.state.erased = []ledger.Target{{Seq: 100, Items: []int{0}}}
			if err := p.archive.Erase(f.state.erased); err != nil {
				return nil, err
			}
			return p.node.answerRecords(encodeRecordsRequest(r))
		}
		return answer, nil
	}
	f.run(t.Context())
	sameFiles(t, ledgerFiles(t, f.fs), ledgerFiles(t, p.fs))
	verifyMissing(t, f.archive, 100)
	if parts < 4 || len(f.lines.with("do not verify")) != 0 {
		t.Errorf("%d parts of %d answers, reported: %q", parts, whole, f.lines.with("do not verify"))
	}
	if got, err := f.archive.Payload(100); err != nil || !got.Items[0].Erased {
		t.Errorf("%v: erased %v", err, got.Items[0].Erased)
	}
}
