package sse

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"ironman/wal/digest"
	"ironman/wal/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

// plain is n bytes that differ everywhere.
func plain(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // it has no errors
	return b
}

// fixedKey is a key for tests.
func fixedKey(seed byte) Key {
	k, err := NewKey(bytes.Repeat([]byte{seed}, KeyBytes))
	if err != nil {
		panic(err)
	}
	return k
}

func seal(t testing.TB, key Key, b []byte) []byte {
	t.Helper()
	var pool Pool
	s := pool.Seal(bytes.NewReader(b), key)
	defer s.Close()
	sealed, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// open opens a range of a sealed blob that is said to have a size.
func open(key Key, sealed []byte, size, offset, length int64) ([]byte, error) {
	var pool Pool
	r, err := Locate(size, offset, length)
	if err != nil {
		return nil, err
	}
	from := min(r.Offset, int64(len(sealed)))
	o := pool.Open(io.NopCloser(bytes.NewReader(sealed[from:min(from+r.Length, int64(len(sealed)))])), key, r)
	defer o.Close()
	return io.ReadAll(o)
}

// sizes around every border.
var sizes = []int{1, 2, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2*chunkBytes - 1, 2 * chunkBytes, 2*chunkBytes + 1, 5*chunkBytes + 12345}

// TestSealOpen takes bytes there and back, whole and in ranges, however they are read.
func TestSealOpen(t *testing.T) {
	key := RandomKey()
	for _, n := range sizes {
		b := plain(n)
		sealed := seal(t, key, b)
		if len(sealed) != int(event.SealedSize(uint64(n))) {
			t.Fatalf("%d bytes seal to %d, not to %d", n, len(sealed), event.SealedSize(uint64(n)))
		}
		if n > 16 && bytes.Contains(sealed, b[:16]) {
			t.Fatal("plain bytes are in the sealed ones")
		}
		got, err := open(key, sealed, int64(len(sealed)), 0, int64(n))
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%d bytes do not come back: %v", n, err)
		}
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		for range 50 {
			from := rng.IntN(n)
			length := 1 + rng.IntN(n-from)
			got, err := open(key, sealed, int64(len(sealed)), int64(from), int64(length))
			if err != nil || !bytes.Equal(got, b[from:from+length]) {
				t.Fatalf("range %d+%d of %d: %v", from, length, n, err)
			}
		}
	}
}

// TestSealReaders seals the same bytes whatever pieces come in and go out.
func TestSealReaders(t *testing.T) {
	key, b := fixedKey(3), plain(2*chunkBytes+77)
	want := seal(t, key, b)
	var pool Pool
	for name, source := range map[string]func(io.Reader) io.Reader{
		"bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "eof with data": iotest.DataErrReader,
	} {
		for _, piece := range []int{1, 100, chunkBytes, sealedBytes, 4 * sealedBytes} {
			s := pool.Seal(source(bytes.NewReader(b)), key)
			var got bytes.Buffer
			_, err := io.CopyBuffer(&got, struct{ io.Reader }{s}, make([]byte, piece))
			if s.Close(); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s, pieces of %d: %d bytes, %v", name, piece, got.Len(), err)
			}
		}
	}
	if err := iotest.TestReader(pool.Seal(bytes.NewReader(b), key), want); err != nil {
		t.Error(err)
	}
	r, err := Locate(int64(len(want)), 5, int64(len(b))-9)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(pool.Open(io.NopCloser(bytes.NewReader(want)), key, r), b[5:len(b)-4]); err != nil {
		t.Error(err)
	}
}

// TestSealErrors hands the source's error on, and never a last chunk before its end.
func TestSealErrors(t *testing.T) {
	refused := errors.New("the signature does not match")
	var pool Pool
	for _, n := range []int{0, 10, chunkBytes, chunkBytes + 1} {
		s := pool.Seal(io.MultiReader(bytes.NewReader(plain(n)), iotest.ErrReader(refused)), fixedKey(1))
		got, err := io.ReadAll(s)
		if !errors.Is(err, refused) || len(got) > n/chunkBytes*sealedBytes {
			t.Errorf("after %d bytes: %d sealed, %v", n, len(got), err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, refused) {
			t.Errorf("the error did not stay: %v", err)
		}
		s.Close()
	}
	if got := seal(t, fixedKey(1), nil); len(got) != 0 {
		t.Errorf("nothing seals to %d bytes", len(got))
	}
	s := pool.Seal(bytes.NewReader(plain(10)), fixedKey(1))
	s.Close()
	if _, err := s.Read(make([]byte, 100)); err == nil {
		t.Error("a closed Sealer gives bytes")
	}
}

// TestManipulation changes sealed bytes in every way that an attacker with access to
// the disks could: none gives a byte of the chunk it touches, none ends cleanly.
func TestManipulation(t *testing.T) {
	key := fixedKey(7)
	b := plain(3*chunkBytes + 100)
	whole := seal(t, key, b)
	chunk := func(i int) []byte { return whole[i*sealedBytes : min((i+1)*sealedBytes, len(whole))] }
	twin := seal(t, fixedKey(8), b)
	for _, c := range []struct {
		name   string
		sealed []byte
		good   int // chunks before the first bad one
	}{
		{"a bit of the first chunk", flip(whole, 5), 0},
		{"a bit of a tag", flip(whole, chunkBytes+3), 0},
		{"a bit of the last chunk", flip(whole, len(whole)-20), 3},
		{"the last tag", flip(whole, len(whole)-1), 3},
		{"two chunks swapped", slicesOf(chunk(1), chunk(0), chunk(2), chunk(3)), 0},
		{"a chunk repeated", slicesOf(chunk(0), chunk(0), chunk(2), chunk(3)), 1},
		{"a chunk dropped", slicesOf(chunk(0), chunk(2), chunk(3)), 1},
		{"cut at a chunk", slicesOf(chunk(0), chunk(1), chunk(2)), 3},
		{"cut in a chunk", whole[:len(whole)-7], 3},
		{"a chunk added", slicesOf(chunk(0), chunk(1), chunk(2), chunk(2), chunk(3)), 3},
		{"bytes added", slicesOf(whole, []byte{0}), 3},
		{"a chunk of another blob", slicesOf(chunk(0), twin[sealedBytes:2*sealedBytes], chunk(2), chunk(3)), 1},
		{"another blob", twin, 0},
	} {
		// As long as it is: the size in the log could be the attacker's, too. And as long
		// as it was.
		for _, size := range []int{len(c.sealed), len(whole)} {
			plainSize, ok := event.PlainSize(uint64(size))
			if !ok || bytes.HasPrefix(c.sealed, whole[:min(size, len(whole))]) && len(c.sealed) > size {
				continue // no sealed blob is of that length; or nothing of it is read
			}
			got, err := open(key, c.sealed, int64(size), 0, int64(plainSize))
			if err == nil || !bytes.HasPrefix(b, got) || len(got) > c.good*chunkBytes {
				t.Errorf("%s, size %d: %d bytes, %v", c.name, size, len(got), err)
			}
			if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %v looks like an end", c.name, err)
			}
		}
	}
	// A range that does not touch the bad chunk is good.
	if got, err := open(key, flip(whole, 5), int64(len(whole)), chunkBytes, 10); err != nil || !bytes.Equal(got, b[chunkBytes:chunkBytes+10]) {
		t.Errorf("beside the bad chunk: %v", err)
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// TestLocate refuses what lies outside.
func TestLocate(t *testing.T) {
	size := int64(event.SealedSize(chunkBytes + 10))
	for _, c := range [][3]int64{{size, 0, 0}, {size, -1, 5}, {size, 0, chunkBytes + 11}, {size, chunkBytes + 10, 1}, {size, 1 << 62, 1 << 62}, {size, 5, -1}, {16, 0, 1}, {0, 0, 1}, {-5, 0, 1}} {
		if r, err := Locate(c[0], c[1], c[2]); err == nil {
			t.Errorf("%v is at %+v", c, r)
		}
	}
	r, err := Locate(size, chunkBytes-1, 2)
	if err != nil || r.Offset != 0 || r.Length != size {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Locate(size, chunkBytes, 1)
	if err != nil || r.Offset != sealedBytes || r.Length != 26 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestGolden pins the formats: bytes that were sealed by the first release must open for ever.
func TestGolden(t *testing.T) {
	blob := &event.BlobID{Incarnation: 3, Counter: 4}
	salt := bytes.Repeat([]byte{9}, saltBytes)
	masters, err := NewMasters(fixedKey(4))
	if err != nil {
		t.Fatal(err)
	}
	s3, kms := masters.S3().(*derived), masters.KMS("alias/one", `{"a":"b"}`).(*derived)
	customer := newCustomer(fixedKey(6), salt[:checkSaltBytes])
	wrapped := func(d *derived) []byte {
		return d.scope.wrapWith(masters.list[0].secret.derive(nil, d.info), masters.list[0].id, fixedKey(5), blob, salt).Wrapped
	}
	var out strings.Builder
	line := func(name string, b []byte) { fmt.Fprintf(&out, "%s %s\n", name, hex.EncodeToString(b)) }
	line("short", seal(t, fixedKey(1), []byte("hello")))
	sum := digest.SHA256(seal(t, fixedKey(2), plain(2*chunkBytes+1)))
	line("long-sha256", sum[:])
	line("master", masters.list[0].id[:])
	line("s3", wrapped(s3))
	line("kms", wrapped(kms))
	line("check", customer.Check())
	line("customer", customerScope.wrapWith(customer.secret, masterID{}, fixedKey(5), blob, salt).Wrapped)
	path := filepath.Join("testdata", "formats.txt")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != out.String() {
		t.Errorf("the formats changed (%v):\n%s", err, out.String())
	}
}

// FuzzOpen reads ranges of arbitrary bytes: it never panics, and gives what was sealed or nothing.
func FuzzOpen(f *testing.F) {
	key := fixedKey(1)
	b := plain(chunkBytes + 50)
	good := seal(f, key, b)
	f.Add(good, int64(len(good)), int64(0), int64(len(b)))
	f.Add(good, int64(len(good)), int64(chunkBytes), int64(20))
	f.Add(good[:sealedBytes], int64(sealedBytes), int64(0), int64(chunkBytes))
	f.Add([]byte("short"), int64(21), int64(0), int64(5))
	f.Add([]byte{}, int64(-1), int64(1)<<62, int64(1)<<62)
	f.Fuzz(func(t *testing.T, sealed []byte, size, offset, length int64) {
		got, err := open(key, sealed, size, offset, length)
		if err != nil && len(got) == 0 {
			return
		}
		if offset < 0 || offset+int64(len(got)) > int64(len(b)) || !bytes.Equal(got, b[offset:offset+int64(len(got))]) {
			t.Errorf("%d bytes that nobody sealed", len(got))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	key, data, buffer := RandomKey(), plain(1<<20), make([]byte, 128<<10)
	var pool Pool
	b.SetBytes(1 << 20)
	for b.Loop() {
		s := pool.Seal(bytes.NewReader(data), key)
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, buffer); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkOpen(b *testing.B) {
	key := RandomKey()
	sealed := seal(b, key, plain(1<<20))
	r, err := Locate(int64(len(sealed)), 0, 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	var pool Pool
	b.SetBytes(1 << 20)
	for b.Loop() {
		o := pool.Open(io.NopCloser(bytes.NewReader(sealed)), key, r)
		if _, err := o.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
		o.Close()
	}
}

func BenchmarkWrap(b *testing.B) {
	masters, err := NewMasters(RandomKey())
	if err != nil {
		b.Fatal(err)
	}
	w, data, id := masters.S3(), RandomKey(), &event.BlobID{Counter: 1}
	for b.Loop() {
		if _, err := w.Unwrap(w.Wrap(data, id)); err != nil {
			b.Fatal(err)
		}
	}
}
