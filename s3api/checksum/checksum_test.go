package checksum

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"ironman/wal/digest"
	"ironman/wal/event"
)

var all = []event.ChecksumAlgorithm{crc32, crc32c, crc64nvme, sha1, sha256}

func wantCode(t testing.TB, err error, code, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Fatalf("got %v, want %s with %q", err, code, text)
	}
}

// direct computes a checksum in one go, with no lanes.
func direct(a event.ChecksumAlgorithm, b []byte) []byte {
	h := newHash(a)
	h.Write(b)
	return h.Sum(nil)
}

func TestKnownVectors(t *testing.T) {
	for _, c := range []struct {
		a        event.ChecksumAlgorithm
		in, want string // base64
	}{
		{crc32, "abcdefg", "MSpqpg=="},
		{crc32c, "abcdefg", "5if0QQ=="},
		{crc64nvme, "abcdefg", "SmzZ/LTp1CA="},
		{sha1, "abcdefg", "L7XhNBn8iSRoZeejJPR27GJOh0A="},
		{sha256, "abcdefg", "fRpUEnsiJQL1t5tfsIAwYRUqRPkrN+I8ZSe69mXU2po="},
		{crc32, "123456789", base64.StdEncoding.EncodeToString([]byte{0xcb, 0xf4, 0x39, 0x26})},
		{crc32c, "123456789", base64.StdEncoding.EncodeToString([]byte{0xe3, 0x06, 0x92, 0x83})},
		{crc64nvme, "123456789", base64.StdEncoding.EncodeToString([]byte{0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88})},
		{crc64nvme, "hello world", "jSnVw/bqjr4="},
		{crc32c, strings.Repeat("a", 66560), "sOO8/Q=="},
	} {
		r := NewReader(strings.NewReader(c.in), Want{Algorithm: c.a}, &Pool{})
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		s := r.Sums()
		if got := Text(s.Checksum, 0); got != c.want || s.Checksum.Algorithm != c.a || s.Checksum.Composite || s.Size != int64(len(c.in)) {
			t.Errorf("%s of %.12q: %s, want %s", Name(c.a), c.in, got, c.want)
		}
		if s.MD5 != md5.Sum([]byte(c.in)) {
			t.Errorf("MD5 of %.12q: %x", c.in, s.MD5)
		}
	}
}

// However the bytes arrive and are asked for, the sums are those of the bytes, and the
// bytes are handed on unchanged, though the consumer overwrites its buffer.
func TestReaderSums(t *testing.T) {
	pool := &Pool{}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(parallelMin-2, parallelMin+2),
			rapid.IntRange(blockSize*maxBlocks-2, blockSize*maxBlocks+2), rapid.IntRange(0, 3<<20)).Draw(t, "length")
		data := bytes.Repeat([]byte("The quick brown fox. "), n/21+1)[:n]
		w := Want{
			Algorithm: rapid.SampledFrom(append(all, none)).Draw(t, "algorithm"),
			Also:      rapid.SampledFrom(append(all, none)).Draw(t, "also"),
			SHA256:    rapid.Bool().Draw(t, "sha256"),
			Size:      rapid.SampledFrom([]int64{-1, 0, int64(n)}).Draw(t, "size"),
		}
		if rapid.Bool().Draw(t, "payload") {
			sum := digest.SHA256(data)
			w.Payload = &sum
		}
		var src io.Reader = bytes.NewReader(data)
		switch rapid.IntRange(0, 2).Draw(t, "source") {
		case 1:
			src = iotest.HalfReader(src)
		case 2:
			src = iotest.DataErrReader(src)
		}
		r := NewReader(src, w, pool)
		var got []byte
		p := make([]byte, rapid.IntRange(1, 1<<20).Draw(t, "buffer"))
		for {
			m, err := io.ReadFull(r, p)
			got = append(got, p[:m]...)
			clear(p)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, data) {
			t.Fatal("the bytes changed")
		}
		checkSums(t, r.Sums(), w, data)
		checkSums(t, r.Sums(), w, data)
	})
}

func checkSums(t *rapid.T, s Sums, w Want, data []byte) {
	if s.Size != int64(len(data)) || s.MD5 != md5.Sum(data) {
		t.Fatalf("%d bytes, MD5 %x", s.Size, s.MD5)
	}
	if w.Algorithm == none != (s.Checksum == nil) || s.Checksum != nil && !bytes.Equal(s.Checksum.Value, direct(w.Algorithm, data)) {
		t.Fatalf("%v %v", w.Algorithm, s.Checksum)
	}
	if w.Also == none != (s.Also == nil) || s.Also != nil && (s.Also.Algorithm != w.Also || !bytes.Equal(s.Also.Value, direct(w.Also, data))) {
		t.Fatalf("also %v %v", w.Also, s.Also)
	}
	if want := (digest.Sum{}); !w.SHA256 && s.SHA256 != want || w.SHA256 && s.SHA256 != digest.SHA256(data) {
		t.Fatalf("SHA-256 %x", s.SHA256)
	}
}

// A consumer far faster than MD5 does not overtake it: no block is filled again before
// it was hashed.
func TestReaderIsFasterThanMD5(t *testing.T) {
	data := make([]byte, 3*maxBlocks*blockSize+12345)
	for i := range data {
		data[i] = byte(i / blockSize * 7)
	}
	pool := &Pool{}
	for range 3 {
		r := NewReader(bytes.NewReader(data), Want{}, pool)
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if s := r.Sums(); s.MD5 != md5.Sum(data) {
			t.Fatal("another MD5")
		}
	}
}

// Begin hashes the caller's own bytes: two buffers, each waited for before it changes.
func TestDigestsBegin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Want{Algorithm: rapid.SampledFrom(all).Draw(t, "algorithm"), SHA256: rapid.Bool().Draw(t, "sha256")}
		d := New(w)
		var data []byte
		var buffers [2][]byte
		var tickets [2]Ticket
		for i := range rapid.IntRange(0, 8).Draw(t, "pieces") {
			n := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(parallelMin-1, 3*parallelMin)).Draw(t, "length")
			tickets[i%2].Wait()
			buffers[i%2] = append(buffers[i%2][:0], bytes.Repeat([]byte{byte(i)}, n)...)
			data = append(data, buffers[i%2]...)
			if rapid.IntRange(0, 3).Draw(t, "write") == 0 {
				if m, err := d.Write(buffers[i%2]); m != n || err != nil {
					t.Fatal(m, err)
				}
				tickets[i%2] = Ticket{}
			} else {
				tickets[i%2] = d.Begin(buffers[i%2])
			}
		}
		checkSums(t, d.Sums(), w, data)
	})
}

// An error of the body passes through; what came before it is summed.
func TestReaderError(t *testing.T) {
	broken := errors.New("reset")
	data := bytes.Repeat([]byte("x"), 1<<20)
	r := NewReader(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)), Want{}, &Pool{})
	if n, err := io.Copy(io.Discard, r); n != 1<<20 || err != broken {
		t.Fatal(n, err)
	}
	if s := r.Sums(); s.MD5 != md5.Sum(data) {
		t.Fatal(s)
	}
}

// The CRC of a whole from those of its parts, against the CRC of the whole.
func TestFullObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom([]event.ChecksumAlgorithm{crc32, crc32c, crc64nvme}).Draw(t, "algorithm")
		var data []byte
		var parts []Part
		for range rapid.IntRange(0, 8).Draw(t, "parts") {
			p := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "part")
			p = bytes.Repeat(p, rapid.SampledFrom([]int{1, 1, 2, 100}).Draw(t, "times"))
			data = append(data, p...)
			parts = append(parts, Part{direct(a, p), uint64(len(p))})
		}
		c, err := FullObject(a, parts)
		if err != nil || !bytes.Equal(c.Value, direct(a, data)) || c.Composite || c.Algorithm != a {
			t.Fatalf("%v %v, want %x", c, err, direct(a, data))
		}
	})
}

// Parts of 5 GiB: appending n zero bytes to a CRC is what the shift is.
func TestFullObjectOfLongParts(t *testing.T) {
	for _, a := range []event.ChecksumAlgorithm{crc32, crc32c, crc64nvme} {
		// A whole of 2 x 5 GiB in two ways of cutting gives the same sum.
		zero := func(n uint64) Part { return Part{zeros(t, a, n), n} }
		x, err := FullObject(a, []Part{zero(5 << 30), zero(5 << 30)})
		if err != nil {
			t.Fatal(err)
		}
		y, err := FullObject(a, []Part{zero(1 << 20), zero(10<<30 - 1<<20)})
		if err != nil || !proto.Equal(x, y) {
			t.Fatalf("%s: %v %v %v", Name(a), x, y, err)
		}
	}
}

// zeros returns the CRC of n zero bytes, by doubling.
func zeros(t *testing.T, a event.ChecksumAlgorithm, n uint64) []byte {
	t.Helper()
	var parts []Part
	piece, size := direct(a, []byte{0}), uint64(1)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			parts = append(parts, Part{piece, size})
		}
		c, err := FullObject(a, []Part{{piece, size}, {piece, size}})
		if err != nil {
			t.Fatal(err)
		}
		piece, size = c.Value, 2*size
	}
	c, err := FullObject(a, parts)
	if err != nil {
		t.Fatal(err)
	}
	return c.Value
}

func TestComposite(t *testing.T) {
	for _, a := range []event.ChecksumAlgorithm{crc32, crc32c, sha1, sha256} {
		one, two := direct(a, []byte("one")), direct(a, []byte("two"))
		c, err := Composite(a, []Part{{one, 3}, {two, 3}})
		if err != nil || !c.Composite || !bytes.Equal(c.Value, direct(a, append(bytes.Clone(one), two...))) {
			t.Fatalf("%v %v", c, err)
		}
		text := Text(c, 2)
		if !strings.HasSuffix(text, "-2") {
			t.Fatal(text)
		}
		if value, parts, ok := ParseText(a, text); !ok || parts != 2 || !bytes.Equal(value, c.Value) {
			t.Fatal(value, parts, ok)
		}
		if _, err := Composite(a, []Part{{one[1:], 3}}); err == nil {
			t.Fatal("a short value")
		}
	}
	if _, err := Composite(crc64nvme, nil); err == nil {
		t.Fatal("CRC64NVME has no composite")
	}
	if _, err := FullObject(sha256, nil); err == nil {
		t.Fatal("SHA-256 has no full object of parts")
	}
	if _, err := FullObject(crc32, []Part{{[]byte{1, 2, 3}, 1}}); err == nil {
		t.Fatal("a short value")
	}
	if _, err := FullObject(crc32, []Part{{[]byte{1, 2, 3, 4}, 1 << 62}}); err == nil {
		t.Fatal("a part too long")
	}
}

func TestParseText(t *testing.T) {
	for s, ok := range map[string]bool{
		"AAAAAA==": true, "AAAAAA==-1": true, "AAAAAA==-10000": true, "AAAAAA==-0": false, "AAAAAA==-01": false, "AAAAAA==-": false,
		"AAAAAA==--1": false, "AAAAAA==-65536": false, "AAAAAA": false, "AAAAAB==": false, "AAAAAAA=": false, "": false, "-2": false, "AAAAAA==\n": false,
	} {
		if _, _, got := ParseText(crc32, s); got != ok {
			t.Errorf("%q: %v", s, got)
		}
	}
	if _, _, ok := ParseText(none, ""); ok {
		t.Error("no algorithm")
	}
}

func TestETags(t *testing.T) {
	a, b := md5.Sum([]byte("a")), md5.Sum([]byte("b"))
	if ETag(a) != "0cc175b9c0f1b6a831c399e269772661" {
		t.Fatal(ETag(a))
	}
	want := md5.Sum(append(a[:], b[:]...))
	got, err := MultipartETag([]string{ETag(a), ETag(b)})
	if err != nil || got != hex.EncodeToString(want[:])+"-2" {
		t.Fatal(got, err)
	}
	for _, bad := range []string{"", "xx", ETag(a) + "-1", ETag(a)[:30]} {
		if _, err := MultipartETag([]string{bad}); err == nil {
			t.Errorf("%q", bad)
		}
	}
}

func TestNames(t *testing.T) {
	for _, a := range all {
		if got, err := ParseAlgorithm(strings.ToLower(Name(a))); err != nil || got != a {
			t.Errorf("%v: %v %v", a, got, err)
		}
		if want := "X-Amz-Checksum-" + Name(a)[:1] + strings.ToLower(Name(a)[1:]); Header(a) != want || http.CanonicalHeaderKey(want) != want {
			t.Errorf("%s, want %s", Header(a), want)
		}
		if len(direct(a, nil)) != Size(a) {
			t.Errorf("%s: %d", Name(a), Size(a))
		}
	}
	if Name(none) != "" || Header(none) != "" || Size(none) != 0 || newHash(none) != nil {
		t.Error("none")
	}
}

func TestErrorsAreComparable(t *testing.T) {
	err := error(invalid("a"))
	if !errors.Is(err, &Error{Code: CodeInvalidRequest}) || errors.Is(err, &Error{Code: CodeBadDigest}) || errors.Is(err, invalid("b")) || err.Error() != "InvalidRequest: a" {
		t.Fatal(err)
	}
	if c := Codes(); len(c) != 4 || c[0] != CodeBadDigest {
		t.Fatal(c)
	}
}
