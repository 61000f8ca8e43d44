package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// goldenTail is the file of a tail that was written in two batches.
func goldenTail(t testing.TB) []byte {
	t.Helper()
	mem := vfs.NewMem()
	tail, err := OpenTail(mem, "reads", 5, []Record{record(0, 5), record(0, 6)})
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Append([]Record{record(0, 7)}); err != nil {
		t.Fatal(err)
	}
	b, err := newFiles(mem, "reads").read(TailPath, maxTailBytes)
	if err != nil {
		t.Fatal(err)
	}
	if tail.Bytes() != int64(len(b)) {
		t.Fatalf("%d bytes instead of %d", tail.Bytes(), len(b))
	}
	if err := tail.Append([]Record{record(0, 9)}); !errors.Is(err, ErrGap) {
		t.Fatalf("got %v", err)
	}
	return b
}

// TestTailFormat pins the bytes of tails and of the mark of what is kept, and that those of
// a next version are told from damage.
func TestTailFormat(t *testing.T) {
	b := goldenTail(t)
	d, err := decodeTail(b)
	if err != nil || d.first != 5 || len(d.records) != 3 || d.rest != 0 || d.behind != nil {
		t.Fatalf("%+v, %v", d, err)
	}
	records := d.records
	for i := range records {
		want := record(0, uint64(5+i))
		if !bytes.Equal(records[i].Envelope, want.Envelope) || records[i].differs(&want.Payload) != "" || records[i].Seq != want.Seq {
			t.Fatalf("record %d is another", i)
		}
	}
	golden(t, "tail.golden", fmt.Sprintf("header %x\ntail %x\nkept %x\n", b[:tailHeaderBytes], digest.SHA256(b), encodeKept(512)))
	b[4]++
	if _, err := decodeTail(b); !errors.Is(err, event.ErrNewer) {
		t.Errorf("the next version of a tail: %v", err)
	}
	k := encodeKept(512)
	if n, err := decodeKept(k); n != 512 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := decodeKept(k[:16]); !errors.Is(err, event.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	for _, n := range []uint64{0, 255, 1 << 63} {
		if _, err := decodeKept(encodeKept(n)); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("kept from %d on: %v", n, err)
		}
	}
	k[4]++
	if _, err := decodeKept(k); !errors.Is(err, event.ErrNewer) {
		t.Errorf("the next version: %v", err)
	}
}

// TestTailJoins: records that the bundles have by now are passed over, and a tail that begins
// behind them is none.
func TestTailJoins(t *testing.T) {
	mem := vfs.NewMem()
	if err := mem.MkdirAll("reads", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		size uint64
		left int
		bad  bool
	}{{4, 0, true}, {5, 3, false}, {7, 1, false}, {8, 0, false}, {100, 0, false}} {
		put(t, mem, "reads/"+TailPath, goldenTail(t))
		s, err := ReadTail(mem, "reads", c.size)
		if err != nil || (s.Unusable != nil) != c.bad || len(s.Records) != c.left {
			t.Errorf("size %d: %d records, %v, %v", c.size, len(s.Records), s.Unusable, err)
		}
	}
}

// TestKeptOnlyWhereAllowed: a file that says so does not make a ledger whole that lacks bundles.
func TestKeptOnlyWhereAllowed(t *testing.T) {
	fsys, a := filled(t, 700)
	put(t, fsys, "ledger/"+keptPath, encodeKept(256))
	if err := fsys.Remove("ledger/" + EntriesPath(0, BundleSize)); err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(t.Context(), nil); err == nil {
		t.Error("a ledger without its first bundle passes")
	}
	if _, err := a.Envelope(3); err == nil || errors.Is(err, ErrDropped) {
		t.Errorf("got %v", err)
	}
	if err := a.Drop(512); err != nil || a.Kept() != 0 {
		t.Errorf("the ledger dropped what it is never to drop: %v", err)
	}
}

// TestTailDamage: where a batch is whole, what is not whole before it is damage, and its
// records are found; behind the last batch nothing is.
func TestTailDamage(t *testing.T) {
	mem := vfs.NewMem()
	tail, err := OpenTail(mem, "reads", 5, []Record{record(0, 5)})
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(6); seq < 14; seq += 2 {
		if err := tail.Append([]Record{record(0, seq), record(0, seq+1)}); err != nil {
			t.Fatal(err)
		}
	}
	good, err := newFiles(mem, "reads").read(TailPath, maxTailBytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spoiled []int // bytes
		records int
		behind  []uint64
	}{
		{[]int{tailHeaderBytes + 20}, 0, []uint64{6, 7, 8, 9, 10, 11, 12, 13}},
		{[]int{4096}, 1, []uint64{8, 9, 10, 11, 12, 13}},
		{[]int{4096 + 30}, 1, []uint64{8, 9, 10, 11, 12, 13}},
		{[]int{4096 + 30, 3*4096 + 7}, 1, []uint64{8, 9, 12, 13}},
		{[]int{4*4096 + 9}, 7, nil},
	} {
		b := bytes.Clone(good)
		for _, at := range c.spoiled {
			b[at] ^= 4
		}
		d, err := decodeTail(b)
		if err != nil || len(d.records) != c.records {
			t.Fatalf("spoiled at %v: %+v, %v", c.spoiled, d, err)
		}
		var behind []uint64
		for i := range d.behind {
			behind = append(behind, d.behind[i].Seq)
			want := record(0, d.behind[i].Seq)
			if !bytes.Equal(d.behind[i].Envelope, want.Envelope) {
				t.Errorf("record %d is another", want.Seq)
			}
		}
		if !slices.Equal(behind, c.behind) {
			t.Errorf("spoiled at %v: found %v behind it", c.spoiled, behind)
		}
	}
}

func FuzzTail(f *testing.F) {
	b := goldenTail(f)
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Add(b[:tailHeaderBytes])
	f.Add([]byte("IMLT\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeTail(b)
		if err != nil {
			return
		}
		if d.rest < 0 || d.rest > len(b) {
			t.Fatalf("%d torn bytes of %d", d.rest, len(b))
		}
		next := d.first
		for i, r := range append(d.records, d.behind...) {
			if r.Seq < next || i < len(d.records) && r.Seq != next {
				t.Fatalf("record %d is %d", i, r.Seq)
			}
			next = r.Seq + 1
			if _, err := appendFrame(nil, &r, 0); err != nil {
				t.Fatal(err)
			}
		}
	})
}
