package wal

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"ironman/wal/event"
	"ironman/wal/segment"
)

// pastLog is a log that everybody agrees on: events, with a no-op at each multiple of
// ten. Its terms rise in the middle.
func pastLog(t *testing.T, n int) []segment.Entry {
	t.Helper()
	var out []segment.Entry
	seq := int64(0)
	for i := range n {
		e := segment.Entry{Index: uint64(i + 1), Term: 3, Type: uint8(raft.LogNoop), AppendedAt: time.Unix(int64(i), 5).UTC()}
		if i >= n/2 {
			e.Term = 7
		}
		if e.Index%10 != 0 {
			seq++
			e.Type, e.Data = uint8(raft.LogCommand), event.AppendEntry(nil, seq, proposal(t, i)) // the fake's leaf has that time
		}
		out = append(out, e)
	}
	return out
}

// lie changes what a peer gives for an entry; nil: it says that it has none.
type lie func(e segment.Entry) *segment.Entry

func honest(e segment.Entry) *segment.Entry { return &e }
func silent(segment.Entry) *segment.Entry   { return nil }

// of lies about one entry only.
func of(index uint64, l lie) lie {
	return func(e segment.Entry) *segment.Entry {
		if e.Index != index {
			return &e
		}
		return l(e)
	}
}

func otherData(t *testing.T) lie {
	return func(e segment.Entry) *segment.Entry {
		e.Data = event.AppendEntry(nil, 1, proposal(t, 7777))
		return &e
	}
}

func otherTerm(term uint64) lie {
	return func(e segment.Entry) *segment.Entry { e.Term = term; return &e }
}

func longer(e segment.Entry) *segment.Entry {
	e.Data = append(slices.Clone(e.Data), make([]byte, 1<<20)...)
	return &e
}

// TestMender: what is believed of others about a hole in a log of 40 entries, of
// which some are applied here.
func TestMender(t *testing.T) {
	h := pastLog(t, 40)
	for _, c := range []struct {
		name        string
		first, last uint64
		applied     int
		archived    uint64 // leaves
		tail        bool   // nothing stands behind the hole
		peers       []lie
		want        string // of the error; empty: mended
	}{
		{"an applied event, of one node", 5, 5, 40, 0, false, []lie{honest, silent}, ""},
		{"several applied events, of one node", 5, 8, 40, 0, false, []lie{silent, honest}, ""},
		{"an applied event, and a liar", 5, 5, 40, 0, false, []lie{of(5, otherData(t)), honest}, ""},
		{"an applied event, and liars only", 5, 5, 40, 0, false, []lie{of(5, otherData(t)), of(5, otherData(t))}, "not those of the leaves"},
		{"an applied event, another term", 5, 5, 40, 0, false, []lie{of(5, otherTerm(4)), silent}, "is of term 4"},
		{"an applied event, too long", 5, 5, 40, 0, false, []lie{of(5, longer), silent}, "too long"},
		{"an archived event, of one node", 5, 5, 40, 30, false, []lie{honest, silent}, ""},
		{"several archived events", 5, 8, 40, 30, false, []lie{honest, silent}, ""},
		{"all events are archived", 35, 36, 40, 36, false, []lie{honest, silent}, ""},
		{"an archived event, and a liar", 5, 5, 40, 30, false, []lie{of(5, otherData(t)), silent}, "takes a second node"},
		{"another archived event", 5, 5, 40, 30, false, []lie{of(5, func(segment.Entry) *segment.Entry { e := h[7]; e.Index = 5; return &e }), silent}, "takes a second node"},
		{"archived events beside a no-op", 8, 9, 40, 30, false, []lie{honest, silent}, ""},
		{"a no-op, of one node", 10, 10, 40, 0, false, []lie{honest, silent}, "takes a second node"},
		{"a no-op, of two", 10, 10, 40, 0, false, []lie{honest, honest}, ""},
		{"an archived no-op, of two", 10, 10, 40, 30, false, []lie{honest, honest}, ""},
		{"a no-op, of the only other node", 10, 10, 40, 0, false, []lie{honest}, ""},
		{"events and a no-op, of two", 8, 12, 40, 0, false, []lie{honest, honest}, ""},
		{"not applied, of one node", 32, 32, 30, 0, false, []lie{honest, silent}, "takes a second node"},
		{"not applied, of two", 32, 32, 30, 0, false, []lie{honest, honest}, ""},
		{"not applied, of two of three", 32, 32, 30, 0, false, []lie{honest, silent, honest}, ""},
		{"not applied, two differ", 32, 32, 30, 0, false, []lie{honest, of(32, otherData(t))}, "different entries"},
		{"not applied, one of three differs", 32, 32, 30, 0, false, []lie{honest, honest, of(32, otherData(t))}, "different entries"},
		{"the last of a term, of one node", 20, 21, 40, 0, false, []lie{honest, silent}, "takes a second node"},
		{"the first of a term, of one node", 21, 21, 40, 0, false, []lie{honest, silent}, "takes a second node"},
		{"an archived first of a term, of one node", 21, 21, 40, 36, false, []lie{honest, silent}, "takes a second node"},
		{"the first of a term, of two", 21, 21, 40, 0, false, []lie{honest, honest}, ""},
		{"the first of a term, two terms", 21, 21, 40, 0, false, []lie{honest, of(21, otherTerm(5))}, "different entries"},
		{"a log that has parted", 5, 5, 40, 0, false, []lie{of(6, otherTerm(2)), of(6, otherData(t))}, "parted"},
		{"the end of the log, not applied", 38, 40, 30, 0, true, []lie{honest, honest}, ""},
		{"the end of the log, of one node", 38, 39, 30, 0, true, []lie{honest, silent}, "takes a second node"},
		{"the end of a log that has parted", 38, 39, 30, 0, true, []lie{of(37, otherTerm(6)), of(37, otherTerm(6))}, "parted"},
		{"nobody is there", 5, 5, 40, 0, false, nil, "no other node"},
		{"nobody has it", 5, 5, 40, 0, false, []lie{silent, silent}, "nobody gives them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newFakeMender(t, h, c.applied, c.archived, c.peers)
			hole := &segment.Hole{First: c.first, Last: c.last, Length: 8192, Before: h[c.first-2].Term}
			if !c.tail {
				hole.After = h[c.last].Term
			}
			got, err := m.mend(t.Context(), hole, func(index uint64) (segment.Entry, error) {
				switch {
				case index < 1 || index > uint64(len(h)) || c.tail && index > c.last:
					return segment.Entry{}, segment.ErrNotFound
				case index >= c.first && index <= c.last:
					return segment.Entry{}, segment.ErrCorrupt
				}
				return h[index-1], nil
			})
			switch {
			case c.want == "" && (err != nil || !sameEntries(got, h[c.first-1:c.last])):
				t.Errorf("%v, %v", got, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// fakeArchive is the ledger's archive of the first leaves.
type fakeArchive struct{ leaves []Leaf }

func (a fakeArchive) Size() uint64 { return uint64(len(a.leaves)) }

func (a fakeArchive) Envelopes(seq uint64) ([][]byte, error) {
	var out [][]byte
	for _, l := range a.leaves[seq:min(seq+3, a.Size())] { // bundles of three, more or less
		out = append(out, l.Envelope)
	}
	return out, nil
}

// newFakeMender is that of a node which has applied some of h, and archived the leaves
// of some of that.
func newFakeMender(t *testing.T, h []segment.Entry, applied int, archived uint64, peers []lie) *mender {
	m := &fakeMachine{changed: make(chan struct{})}
	for _, e := range h[:applied] {
		c := Committed{Index: e.Index, Term: e.Term}
		if raft.LogType(e.Type) == raft.LogCommand {
			c.Data = e.Data
		}
		m.Apply([]Committed{c})
	}
	archive := fakeArchive{slices.Clone(m.leaves[:archived])}
	if err := m.DropLeaves(archived); err != nil {
		t.Fatal(err)
	}
	return &mender{
		others: func() (ids []string) {
			for i := range peers {
				ids = append(ids, fmt.Sprintf("peer-%d", i))
			}
			return ids
		},
		ask: func(_ context.Context, id string, index uint64) (segment.Entry, error) {
			var i int
			if _, err := fmt.Sscanf(id, "peer-%d", &i); err != nil {
				return segment.Entry{}, err
			}
			e := peers[i](h[index-1])
			if e == nil {
				return segment.Entry{}, ErrNotDone
			}
			return *e, nil
		},
		leaves: &ownLeaves{state: m, archive: archive, applied: m.AppliedIndex},
		answer: time.Second, retry: time.Millisecond, patience: 5 * time.Millisecond, log: slog.New(slog.DiscardHandler),
	}
}

// TestEntryAnswer: what a peer sends is refused before it is used.
func TestEntryAnswer(t *testing.T) {
	e := segment.Entry{Index: 9, Term: 3, Type: 0, Data: []byte("data"), Extensions: []byte("ext"), AppendedAt: time.Unix(1, 2).UTC()}
	b := encodeEntry(e)
	const golden = "0000000000000009" + "0000000000000003" + "00" + "0000000000000001" + "00000002" + "00000003" + "657874" + "64617461"
	if got := hex.EncodeToString(b); got != golden {
		t.Errorf("%s, want %s", got, golden)
	}
	if got, err := decodeEntry(b, 9); err != nil || !sameEntry(got, e) || !got.AppendedAt.Equal(e.AppendedAt) {
		t.Errorf("%+v, %v", got, err)
	}
	set := func(at int, v byte) []byte {
		c := slices.Clone(b)
		c[at] = v
		return c
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":                {nil, event.ErrMalformed},
		"cut short":              {b[:entryAnswerHeader-1], event.ErrMalformed},
		"another entry":          {set(7, 8), event.ErrMalformed},
		"no term":                {set(15, 0), event.ErrMalformed},
		"a type of tomorrow":     {set(16, 9), event.ErrNewer},
		"a long second":          {set(25, 0xff), event.ErrMalformed},
		"extensions without end": {set(29, 0xff), event.ErrMalformed},
		"too long":               {append(slices.Clone(b), make([]byte, maxAnswerBody)...), event.ErrMalformed},
	} {
		if _, err := decodeEntry(c.b, 9); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzEntryAnswer(f *testing.F) {
	f.Add(encodeEntry(segment.Entry{Index: 9, Term: 3, Data: []byte("data"), Extensions: []byte("ext"), AppendedAt: time.Unix(1, 2)}), uint64(9))
	f.Add(encodeEntry(segment.Entry{Index: 1, Term: 1, Type: uint8(raft.LogConfiguration)}), uint64(1))
	f.Add(make([]byte, entryAnswerHeader), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, index uint64) {
		e, err := decodeEntry(b, index)
		if err != nil {
			return
		}
		if e.Index != index || !bytes.Equal(encodeEntry(e), b) {
			t.Errorf("%x does not round trip: %+v", b, e)
		}
	})
}
