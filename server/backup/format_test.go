package backup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ironman/wal/digest"
	"ironman/wal/segment"
)

var update = flag.Bool("update", false, "write golden files that are not there")

// golden compares bytes with a file that is never changed.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && *update {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil || !bytes.Equal(b, want) {
		t.Errorf("%s is written otherwise than it was: %v\n%x", name, err, b)
	}
}

func testPoint() *Point {
	sum := digest.SHA256([]byte("x"))
	file := func(name string) File { return File{Name: name, Size: 1, Sum: hex.EncodeToString(sum[:])} }
	return &Point{
		Format: pointFormat, Source: Source{strings.Repeat("ab", 16), "ironman/test", "ironman/test+12345678+AQ"},
		Seq: 300, Time: time.Unix(1_700_000_000, 5).UTC(), Taken: time.Unix(1_700_000_100, 0).UTC(), Node: 2, Version: "v1", FeatureLevel: 4,
		Ledger: Ledger{Size: 256, Root: "AA==", Checkpoint: "a note\n"},
		State:  State{Index: 320, Term: 3, Digest: "00", Files: []File{file("000001.sst"), file("MANIFEST-000002")}},
		Log:    Log{BeforeTerm: 2, First: 270, Last: 320, File: file("entries")},
		Blobs:  BlobSet{Count: 1, Bytes: 1, Lists: []File{file("blobs-4-0")}, Indexes: []File{file("packs/20260102T030405Z-0123abcd/INDEX-000001")}},
	}
}

// TestPointGolden: a point is written as it was, and read as it is written; what is newer or
// changed is not taken for it.
func TestPointGolden(t *testing.T) {
	p := testPoint()
	if err := p.check(); err != nil {
		t.Fatal(err)
	}
	b, err := seal(p)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "point.json", b)
	var back Point
	if err := unseal("p", b, &back); err != nil || !reflect.DeepEqual(&back, p) {
		t.Errorf("read back: %+v %v", back, err)
	}
	for i := range b {
		for _, x := range [][]byte{b[:i], flipped(b, i)} {
			if err := unseal("p", x, &Point{}); !errors.Is(err, ErrDamaged) {
				t.Fatalf("changed at byte %d: %v", i, err)
			}
		}
	}
	next, err := seal(map[string]any{"format": 2, "unheard_of": true})
	if err != nil {
		t.Fatal(err)
	}
	if err := unseal("p", next, &Point{}); !errors.Is(err, ErrNewer) {
		t.Errorf("a point of the next format: %v", err)
	}
	more, err := seal(map[string]any{"format": 1, "unheard_of": true})
	if err != nil {
		t.Fatal(err)
	}
	if err := unseal("p", more, &Point{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a point with a field that this format does not have: %v", err)
	}
}

// TestPointRefused: a point that contradicts itself, or names what no target has, is refused.
func TestPointRefused(t *testing.T) {
	for name, change := range map[string]func(*Point){
		"a ledger beyond the state":     func(p *Point) { p.Ledger.Size = 512 },
		"half a bundle":                 func(p *Point) { p.Ledger.Size = 255 },
		"a ledger without a checkpoint": func(p *Point) { p.Ledger.Checkpoint = "" },
		"entries that end early":        func(p *Point) { p.Log.Last-- },
		"no entries":                    func(p *Point) { p.Log.First = p.Log.Last + 1 },
		"entry 0":                       func(p *Point) { p.Log.First = 0 },
		"terms that fall":               func(p *Point) { p.Log.BeforeTerm = 4 },
		"no files":                      func(p *Point) { p.State.Files = nil },
		"a path":                        func(p *Point) { p.State.Files[0].Name = "../x" },
		"a directory":                   func(p *Point) { p.State.Files[0].Name = "a/b" },
		"a name twice":                  func(p *Point) { p.State.Files[0].Name = p.State.Files[1].Name },
		"a sum that is a path":          func(p *Point) { p.State.Files[0].Sum = strings.Repeat("../", 21) + "." },
		"a sum in capitals":             func(p *Point) { p.Log.File.Sum = strings.ToUpper(p.Log.File.Sum) },
		"a negative size":               func(p *Point) { p.Blobs.Lists[0].Size = -1 },
		"an index elsewhere":            func(p *Point) { p.Blobs.Indexes[0].Name = "packs/x/INDEX-000001" },
		"no cluster":                    func(p *Point) { p.Cluster = "" },
		"no key":                        func(p *Point) { p.Key = "" },
	} {
		p := testPoint()
		change(p)
		if p.check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x10
	return b
}

func testEntries() []segment.Entry {
	return []segment.Entry{
		{Index: 7, Term: 2, Type: 4, Data: []byte("a configuration"), AppendedAt: time.Unix(1_700_000_000, 9)},
		{Index: 8, Term: 2, Data: []byte("a proposal"), Extensions: []byte("more")},
		{Index: 9, Term: 5},
	}
}

func entriesOf(list []segment.Entry) iter.Seq2[segment.Entry, error] {
	return func(yield func(segment.Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func readAllEntries(b []byte, first, last uint64) (list []segment.Entry, err error) {
	for e, err := range ReadEntries(bytes.NewReader(b), first, last) {
		if err != nil {
			return list, err
		}
		list = append(list, e)
	}
	return list, nil
}

// TestEntriesGolden: entries are read back as they were; what is cut off, longer, newer or of other
// indexes is an error.
func TestEntriesGolden(t *testing.T) {
	var out bytes.Buffer
	if err := WriteEntries(&out, entriesOf(testEntries())); err != nil {
		t.Fatal(err)
	}
	b := out.Bytes()
	golden(t, "entries", b)
	back, err := readAllEntries(b, 7, 9)
	if err != nil || !reflect.DeepEqual(back, testEntries()) {
		t.Errorf("read back: %+v %v", back, err)
	}
	for i := range b {
		if _, err := readAllEntries(b[:i], 7, 9); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: %v", i, err)
		}
		_, _ = readAllEntries(flipped(b, i), 7, 9) // it may be taken: the file's sum vouches for it
	}
	for _, of := range [][2]uint64{{6, 9}, {8, 9}, {7, 8}, {7, 10}} {
		if _, err := readAllEntries(b, of[0], of[1]); !errors.Is(err, ErrDamaged) {
			t.Errorf("entries %d to %d: %v", of[0], of[1], err)
		}
	}
	newer := bytes.Clone(b)
	newer[11]++
	if _, err := readAllEntries(newer, 7, 9); !errors.Is(err, ErrNewer) {
		t.Errorf("entries of the next version: %v", err)
	}
	huge := append(bytes.Clone(b[:12]), 0xff, 0xff, 0xff, 0xff)
	if _, err := readAllEntries(huge, 7, 9); !errors.Is(err, ErrDamaged) {
		t.Errorf("an entry of 4 GiB: %v", err)
	}
}

func testPieces() []piece {
	sum := digest.SHA256([]byte("y"))
	large := Blob{BlobID{4, 2}, MaxPieceBytes + 10}
	return []piece{
		{blob: large, offset: MaxPieceBytes, pack: 1, at: 0, length: 10, sum: sum},
		{blob: Blob{BlobID{4, 1}, 5}, pack: 0, at: 100, length: 5, sum: sum},
		{blob: large, pack: 0, at: 105, length: MaxPieceBytes, sum: sum},
	}
}

// TestIndexGolden: an index is written as it was; one that is changed anywhere, newer, or says
// what cannot be is refused.
func TestIndexGolden(t *testing.T) {
	b := encodeIndex(testPieces())
	golden(t, "index", b)
	back, err := decodeIndex("i", b)
	if err != nil || len(back) != 3 || back[0].blob.Counter != 1 || back[1].offset != 0 || back[2].offset != MaxPieceBytes {
		t.Errorf("read back: %+v %v", back, err)
	}
	for i := range b {
		for _, x := range [][]byte{b[:i], flipped(b, i), append(bytes.Clone(b), 0)} {
			if _, err := decodeIndex("i", x); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("changed at byte %d: %v", i, err)
			}
		}
	}
	for name, change := range map[string]func(*piece){
		"beyond the pack":      func(p *piece) { p.at = MaxPackBytes - 4 },
		"no bytes":             func(p *piece) { p.length = 0 },
		"another length":       func(p *piece) { p.length = 4 },
		"within a piece":       func(p *piece) { p.offset = 3 },
		"a blob without bytes": func(p *piece) { p.blob.Size = 0 },
		"twice the same place": func(p *piece) { p.blob, p.length = Blob{BlobID{4, 2}, MaxPieceBytes + 10}, MaxPieceBytes },
		"a blob beyond limits": func(p *piece) { p.blob.Size, p.length = 1<<50, MaxPieceBytes },
		"an offset at its end": func(p *piece) { p.offset, p.blob.Size = MaxPieceBytes, MaxPieceBytes },
		"a piece too long":     func(p *piece) { p.length, p.blob.Size = MaxPieceBytes+1, MaxPieceBytes+1 },
	} {
		pieces := testPieces()
		change(&pieces[1])
		if _, err := decodeIndex("i", encodeIndex(pieces)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := bytes.Clone(b)
	newer[11]++
	if _, err := decodeIndex("i", newer); !errors.Is(err, ErrNewer) {
		t.Errorf("an index of the next version: %v", err)
	}
}

// TestBlobListGolden: a list of blobs is written as it was; one that is changed is refused.
func TestBlobListGolden(t *testing.T) {
	blobs := []Blob{{BlobID{4, 1}, 5}, {BlobID{4, 2}, 1 << 40}, {BlobID{5, 1}, 1}}
	b := encodeBlobs(blobs)
	golden(t, "blobs", b)
	if back, err := decodeBlobs("l", b); err != nil || !slices.Equal(back, blobs) {
		t.Errorf("read back: %v %v", back, err)
	}
	for i := range b {
		for _, x := range [][]byte{b[:i], flipped(b, i)} {
			if _, err := decodeBlobs("l", x); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("changed at byte %d: %v", i, err)
			}
		}
	}
	for name, bad := range map[string][]Blob{
		"not ascending": {blobs[1], blobs[0]}, "twice": {blobs[0], blobs[0]}, "without bytes": {{BlobID{4, 1}, 0}}, "too large": {{BlobID{4, 1}, 1 << 50}},
	} {
		if _, err := decodeBlobs("l", encodeBlobs(bad)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCatalog: pieces of a blob are found whole or not at all, whichever indexes have them.
func TestCatalog(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	name := func(run string) File { return File{Name: "packs/20260102T030405Z-0000000" + run + "/INDEX-000001"} }
	for range 200 {
		c, want := &catalog{}, make(map[Blob]bool)
		var all [3][]piece
		for i := range 20 {
			b := Blob{BlobID{1, uint64(i)}, uint64(1 + rng.IntN(3*MaxPieceBytes))}
			want[b] = true
			for offset := uint64(0); offset < b.Size; offset += MaxPieceBytes {
				length, _ := pieceAt(b.Size, offset)
				there := false
				for run := range all {
					if rng.IntN(2) == 0 {
						all[run] = append(all[run], piece{blob: b, offset: offset, length: length})
						there = true
					}
				}
				want[b] = want[b] && there
			}
		}
		for run, pieces := range all {
			c.add(name(string(rune('0'+run))), pieces)
		}
		c.sort()
		for b, whole := range want {
			at := uint64(0)
			for _, p := range c.pieces(b) {
				if p.blob != b || p.offset != at {
					t.Fatalf("the piece of %v at %d is that of %v at %d", b, at, p.blob, p.offset)
				}
				at += uint64(p.length)
			}
			if whole != (at == b.Size) || !whole && at != 0 {
				t.Errorf("%v is whole: %v, and pieces of %d bytes were found", b, whole, at)
			}
			if c.pieces(Blob{b.BlobID, b.Size + 1}) != nil {
				t.Error("a blob of another size was found")
			}
		}
	}
}

// TestAsks: what is asked for is read back; what nobody can ask for is refused.
func TestAsks(t *testing.T) {
	asks := []Ask{{BlobID{1, 2}, 3, 4}, {BlobID{5, 6}, MaxPieceBytes, MaxPieceBytes}}
	if back, ok := DecodeAsks(EncodeAsks(asks)); !ok || !slices.Equal(back, asks) {
		t.Errorf("read back: %v", back)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "half a row": EncodeAsks(asks)[:30], "no bytes": EncodeAsks([]Ask{{Length: 0}}), "too long": EncodeAsks([]Ask{{Length: MaxPieceBytes + 1}}),
		"too many": EncodeAsks(make([]Ask, MaxAsks+1)),
	} {
		if _, ok := DecodeAsks(b); ok {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestNames: names lead nowhere else.
func TestNames(t *testing.T) {
	for _, name := range []string{"", "/", "a/", "/a", "a//b", "..", "a/../b", ".a", "a/.b", "a\\b", "a b", "ä", "a\x00", "x.tmp", strings.Repeat("a", maxName+1)} {
		if plainName(name) {
			t.Errorf("%q is taken for a name", name)
		}
	}
	for _, name := range []string{"backup.json", "points/00000000000000000001.json", "packs/20260102T030405Z-0123abcd/000001", "ledger/tile/entries/x001/234"} {
		if !plainName(name) {
			t.Errorf("%q is not taken for a name", name)
		}
	}
	for _, run := range []string{"", "..", "20260102T030405Z-0123ABCD", "20260102T030405Z-0123abcd/..", "x20260102T030405Z-0123abcd"} {
		if ValidRun(run) {
			t.Errorf("%q is taken for a run", run)
		}
	}
	for _, name := range []string{PointName(1) + "x", "points/1.json", "points/0000000000000000000x.json", "points/99999999999999999999.json"} {
		if _, ok := pointSeq(name); ok {
			t.Errorf("%q is taken for a point", name)
		}
	}
}
