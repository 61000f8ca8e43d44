package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// collected takes a stream apart in memory.
type collected struct {
	head  *streamHead
	names []string
	files [][]byte
	ended int
}

func (c *collected) begin(h *streamHead) error { c.head = h; return nil }

func (c *collected) newFile(name string, _ uint64) error {
	c.names, c.files = append(c.names, name), append(c.files, []byte{})
	return nil
}

func (c *collected) block(b []byte) error {
	last := len(c.files) - 1
	c.files[last] = append(c.files[last], b...)
	clear(b) // as a vfs.File may
	return nil
}

func (c *collected) endFile() error { c.ended++; return nil }

// decoded takes a stream apart that comes in pieces of the given lengths.
func decoded(b []byte, piece func() int) (*collected, error) {
	c := &collected{}
	d := newStreamDecoder(c)
	for len(b) > 0 {
		n := min(piece(), len(b))
		if _, err := d.Write(slices.Clone(b[:n])); err != nil {
			return c, err
		}
		b = b[n:]
	}
	return c, d.finish()
}

// encoded is the stream of files that are given, and checks its announced length.
func encoded(t testing.TB, identity []byte, m *snapshotMeta, names []string, files [][]byte) []byte {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("s", 0o700); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if err := writeNew(fs, "s/"+name, files[i]); err != nil {
			t.Fatal(err)
		}
	}
	e, size, err := newStreamEncoder(fs, "s", identity, m)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(e)
	if err := errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != size {
		t.Fatalf("%d bytes, %d announced", len(b), size)
	}
	return b
}

func goldenMeta() *snapshotMeta {
	return &snapshotMeta{index: 1, term: 2, configIndex: 3, applied: 4, configuration: []byte("cfg")}
}

// The bytes of a stream never change, and those of the next version are read as
// what they are. Neither is ever made anew.
const (
	goldenStream = "494d534e41505354000000010000000300000037000000020000000000000005696431494d534e4150534800000001000000" +
		"000000000100000000000000020000000000000003000000000000000400000003636667177adbd335b0eaba46494c450000" +
		"0001000000000000000561090b1d2268656c6c6f53e8953046494c45000000050000000000000000622e737374b3812b5644" +
		"4f4e450000000200000000000000052fd9de3e"
	goldenNext = "494d534e41505354000000020000000300000037000000020000000000000005696431494d534e4150534800000001000000" +
		"000000000100000000000000020000000000000003000000000000000400000003636667177adbd30aa7062246494c450000" +
		"0001000000000000000561090b1d2268656c6c6f53e8953046494c45000000050000000000000000622e737374b3812b5644" +
		"4f4e450000000200000000000000052fd9de3e"
)

func TestStreamGolden(t *testing.T) {
	b := encoded(t, []byte("id1"), goldenMeta(), []string{"a", "b.sst"}, [][]byte{[]byte("hello"), nil})
	if got := hex.EncodeToString(b); got != goldenStream {
		t.Fatalf("got %s", got)
	}
	c, err := decoded(b, whole)
	if err != nil || string(c.head.identity) != "id1" || c.head.meta.applied != 4 || !slices.Equal(c.names, []string{"a", "b.sst"}) ||
		string(c.files[0]) != "hello" || len(c.files[1]) != 0 || c.ended != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	next, err := hex.DecodeString(goldenNext)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decoded(next, whole); !errors.Is(err, event.ErrNewer) {
		t.Errorf("a newer stream is %v", err)
	}
	if _, err := readHead(bytes.NewReader(next)); !errors.Is(err, event.ErrNewer) {
		t.Errorf("a newer head is %v", err)
	}
}

// A stream is read back as it was, whatever its sizes and however it is cut.
func TestStreamRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 100, blockBytes - 1, blockBytes, blockBytes + 1, 2 * blockBytes, 150000}), 0, 5).Draw(rt, "sizes")
		var names []string
		var files [][]byte
		for i, n := range sizes {
			names, files = append(names, fmt.Sprintf("%06d.sst", i)), append(files, padding(n))
		}
		b := encoded(t, padding(rapid.IntRange(0, maxIdentity).Draw(rt, "identity")), goldenMeta(), names, files)
		pieces := rapid.SampledFrom([]int{1 << 20, 70000, blockBytes, 4096, 333, 7}).Draw(rt, "pieces")
		c, err := decoded(b, func() int { return pieces })
		if err != nil || !slices.Equal(c.names, names) || !slices.EqualFunc(c.files, files, bytes.Equal) || c.ended != len(files) {
			rt.Fatalf("%v, %v", c.names, err)
		}
		h, err := readHead(bytes.NewReader(b))
		if err != nil || h.meta.name() != goldenMeta().name() {
			rt.Fatal(err)
		}
	})
}

// sampleStream has all kinds of pieces, two equal ones among them.
func sampleStream(t testing.TB) []byte {
	return encoded(t, []byte("id"), goldenMeta(), []string{"a", "b", "c", "d"},
		[][]byte{bytes.Repeat([]byte("x"), 2*blockBytes+10), bytes.Repeat([]byte("x"), 2*blockBytes+10), nil, []byte("y")})
}

// Every changed byte and every lost end is noticed.
func TestStreamDamage(t *testing.T) {
	b := sampleStream(t)
	d := newStreamDecoder(&collected{})
	for i := range b {
		if d.complete || d.err != nil {
			t.Fatalf("at %d of %d: complete %v, %v", i, len(b), d.complete, d.err)
		}
		if _, err := d.Write(b[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.finish(); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Write([]byte{0}); err == nil || n != 0 {
		t.Error("a byte behind the end was taken")
	}
	for i := 0; i < len(b); i++ {
		if i > 600 && i < len(b)-600 && i%997 != 0 {
			continue // within a block one byte is like another
		}
		bad := slices.Clone(b)
		bad[i] ^= 1 << (i % 8)
		if _, err := decoded(bad, whole); err == nil {
			t.Errorf("byte %d changed, and nothing noticed", i)
		}
		if _, err := decoded(b[:i], whole); err == nil {
			t.Errorf("cut to %d bytes, and nothing noticed", i)
		}
	}
}

// Pieces that are whole, but in another place, do not verify: also not if they are equal.
func TestStreamReordered(t *testing.T) {
	b := sampleStream(t)
	head, err := headBytes(b[:streamFixed])
	if err != nil {
		t.Fatal(err)
	}
	record, block := recordFixed+1+crcBytes, blockBytes+crcBytes
	file := record + 2*block + 10 + crcBytes
	cut := func(from, to int) []byte { return b[head+from : head+to] }
	other := encoded(t, []byte("id"), &snapshotMeta{index: 2, term: 2, configIndex: 3, applied: 4}, []string{"a"}, [][]byte{bytes.Repeat([]byte("x"), 2*blockBytes+10)})
	otherHead, err := headBytes(other[:streamFixed])
	if err != nil {
		t.Fatal(err)
	}
	for name, parts := range map[string][][]byte{
		"two blocks of a file swapped": {b[:head], cut(0, record), cut(record+block, record+2*block), cut(record, record+block), b[head+record+2*block:]},
		"a block of another file":      {b[:head], cut(0, record), cut(file+record, file+record+block), b[head+record+block:]},
		"two files swapped":            {b[:head], cut(file, 2*file), cut(0, file), b[head+2*file:]},
		"a file twice":                 {b[:head], cut(0, file), b[head:]},
		"a file is missing":            {b[:head], b[head+file:]},
		"a block is missing":           {b[:head], cut(0, record), b[head+record+block:]},
		"a file of another stream":     {b[:head], other[otherHead : otherHead+file], b[head+file:]},
		"the head of another stream":   {other[:otherHead], b[head:]},
		"the end at once":              {b[:head], b[len(b)-recordFixed-crcBytes:]},
		"two ends":                     {b, b[len(b)-recordFixed-crcBytes:]},
		"two streams":                  {b, b},
	} {
		if _, err := decoded(bytes.Join(parts, nil), whole); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// forge makes a stream as only a wrong sender would: every checksum is right.
type forge struct {
	bound binding
	b     []byte
}

func forged(head *streamHead) *forge {
	b := head.encode()
	_, sum := cutSum(b)
	return &forge{binding(sum), b}
}

func (f *forge) file(n uint32, name string, size uint64, blocks ...[]byte) *forge {
	f.b = append(f.b, f.bound.appendFile(nil, n, name, size)...)
	at := uint64(0)
	for _, b := range blocks {
		f.b = append(f.b, f.bound.seal(n, at, slices.Clone(b))...)
		at += uint64(len(b))
	}
	return f
}

func (f *forge) done(files uint32, bytes uint64) []byte {
	return append(f.b, f.bound.appendDone(nil, files, bytes)...)
}

// What a sender must not say is refused although every checksum is right.
func TestStreamForged(t *testing.T) {
	head := func(files uint32, bytes uint64) *streamHead {
		return &streamHead{meta: goldenMeta(), files: files, bytes: bytes}
	}
	long := strings.Repeat("x", maxFileName+1)
	for name, b := range map[string][]byte{
		"a separator":       forged(head(1, 1)).file(0, "../x", 1, []byte("x")).done(1, 1),
		"another separator": forged(head(1, 1)).file(0, `a\x`, 1, []byte("x")).done(1, 1),
		"absolute":          forged(head(1, 1)).file(0, "/x", 1, []byte("x")).done(1, 1),
		"a dot":             forged(head(1, 1)).file(0, ".", 1, []byte("x")).done(1, 1),
		"two dots":          forged(head(1, 1)).file(0, "..", 1, []byte("x")).done(1, 1),
		"hidden":            forged(head(1, 1)).file(0, ".x", 1, []byte("x")).done(1, 1),
		"a zero byte":       forged(head(1, 1)).file(0, "a\x00b", 1, []byte("x")).done(1, 1),
		"a drive":           forged(head(1, 1)).file(0, "c:x", 1, []byte("x")).done(1, 1),
		"no name":           forged(head(1, 1)).file(0, "", 1, []byte("x")).done(1, 1),
		"a long name":       forged(head(1, 1)).file(0, long, 1, []byte("x")).done(1, 1),
		"names descend":     forged(head(2, 2)).file(0, "b", 1, []byte("x")).file(1, "a", 1, []byte("x")).done(2, 2),
		"a name twice":      forged(head(2, 2)).file(0, "a", 1, []byte("x")).file(1, "a", 1, []byte("x")).done(2, 2),
		"more files":        forged(head(1, 2)).file(0, "a", 1, []byte("x")).file(1, "b", 1, []byte("x")).done(2, 2),
		"fewer files":       forged(head(2, 1)).file(0, "a", 1, []byte("x")).done(1, 1),
		"more bytes":        forged(head(1, 1)).file(0, "a", 2, []byte("xx")).done(1, 2),
		"fewer bytes":       forged(head(1, 2)).file(0, "a", 1, []byte("x")).done(1, 1),
		"sizes that wrap":   forged(head(2, 1)).file(0, "a", 1, []byte("x")).file(1, "b", 1<<64-1).done(2, 0),
		"an end that lies":  forged(head(1, 1)).file(0, "a", 1, []byte("x")).done(1, 2),
		"too many files":    forged(head(maxFiles+1, 0)).b,
		"too many bytes":    forged(head(1, maxStateBytes+1)).b,
		"a long identity":   forged(&streamHead{identity: make([]byte, maxIdentity+1), meta: goldenMeta()}).b,
		"a long META":       forged(&streamHead{meta: &snapshotMeta{configuration: make([]byte, maxMetaBytes)}}).b,
	} {
		if _, err := decoded(b, whole); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := goldenMeta().encode()
	newer[11]++
	b := append([]byte(streamMagic), 0, 0, 0, 1, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(newer)))
	b = append(append(b, make([]byte, 12)...), newer...)
	b = binary.BigEndian.AppendUint32(b, digest.CRC32C(b))
	if _, err := decoded(b, whole); !errors.Is(err, event.ErrNewer) {
		t.Errorf("a newer META: %v", err)
	}
}

func FuzzStream(f *testing.F) {
	f.Add(encoded(f, []byte("id1"), goldenMeta(), []string{"a", "b.sst"}, [][]byte{[]byte("hello"), nil}), 3)
	f.Add(encoded(f, nil, goldenMeta(), nil, nil), 1)
	f.Add(encoded(f, nil, goldenMeta(), []string{"a"}, [][]byte{padding(blockBytes + 1)}), 1<<20)
	f.Add(forged(&streamHead{meta: goldenMeta(), files: 1, bytes: 1}).file(0, "..", 1, []byte("x")).done(1, 1), 100)
	f.Add([]byte(streamMagic), 1)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		piece = 1 + (piece&0x7fffffff)%70000
		c, err := decoded(b, func() int { return piece })
		if err != nil {
			return
		}
		for _, name := range c.names {
			if !plainName(name) {
				t.Fatalf("took the name %q", name)
			}
		}
		if back := encoded(t, c.head.identity, c.head.meta, c.names, c.files); !bytes.Equal(back, b) {
			t.Fatalf("%x does not round trip", b)
		}
	})
}
