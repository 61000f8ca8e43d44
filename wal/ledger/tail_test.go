package ledger

import (
	"bytes"
	"errors"
	"fmt"
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
	first, records, torn, err := decodeTail(b)
	if first != 5 || len(records) != 3 || torn != 0 || err != nil {
		t.Fatalf("%d: %d records, %d torn bytes, %v", first, len(records), torn, err)
	}
	for i := range records {
		want := record(0, uint64(5+i))
		if !bytes.Equal(records[i].Envelope, want.Envelope) || records[i].differs(&want.Payload) != "" || records[i].Seq != want.Seq {
			t.Fatalf("record %d is another", i)
		}
	}
	golden(t, "tail.golden", fmt.Sprintf("header %x\ntail %x\nkept %x\n", b[:tailHeaderBytes], digest.SHA256(b), encodeKept(512)))
	b[4]++
	if _, _, _, err := decodeTail(b); !errors.Is(err, event.ErrNewer) {
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

func FuzzTail(f *testing.F) {
	b := goldenTail(f)
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Add(b[:tailHeaderBytes])
	f.Add([]byte("IMLT\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, records, torn, err := decodeTail(b)
		if err != nil {
			return
		}
		if torn < 0 || torn > len(b) {
			t.Fatalf("%d torn bytes of %d", torn, len(b))
		}
		for i := range records {
			if records[i].Seq != first+uint64(i) {
				t.Fatalf("record %d is %d", i, records[i].Seq)
			}
			if _, err := appendFrame(nil, &records[i]); err != nil {
				t.Fatal(err)
			}
		}
	})
}
