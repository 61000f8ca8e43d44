package erasure

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestPutGet(t *testing.T) {
	for _, nodes := range [][]int{{1}, {2}, {3}, {4}, {6}, {2, 2}, {1, 1, 1}, {2, 2, 2}, {4, 4, 4, 4}} {
		r := newRig(t, vfs.NewMem(), nodes...).open()
		for _, n := range []int{0, 1, 599, 600, 601, 1023, 1024, 1025, 2048, 4095, 4096, 4097, 8191, 8192, 8193, 30000, 100000, 300001} {
			body := bytesOf(uint64(n), n)
			r.check(r.put(body), body)
			b, err := r.s.Put(context.Background(), bytes.NewReader(body), -1, PutOptions{})
			if err != nil {
				t.Fatalf("%v: put %d bytes of unknown length: %v", nodes, n, err)
			}
			if b.Size != uint64(n) {
				t.Fatalf("%v: size %d, want %d", nodes, b.Size, n)
			}
			r.check(b, body)
			if d, err := r.s.Verify(context.Background(), b); err != nil || len(d) > 0 {
				t.Fatalf("%v: verify %d bytes: %v, %v", nodes, n, d, err)
			}
		}
		r.reopen()
		r.check(r.put([]byte("x")), []byte("x"))
		r.s.Close()
		if len(r.damages) > 0 {
			t.Fatalf("damage: %v", r.damages)
		}
	}
}

var errBroken = errors.New("client broke off")

// cutReader gives n bytes, then an error.
type cutReader struct {
	n   int
	err error
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.n == 0 {
		return 0, c.err
	}
	n := min(len(p), c.n)
	clear(p[:n])
	c.n -= n
	return n, nil
}

func TestPutBadBody(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 6).open()
	defer r.s.Close()
	for _, c := range []struct {
		name string
		body io.Reader
		size int64
		want error
	}{
		{"short", &cutReader{10, io.EOF}, 11, ErrBody},
		{"short, large", &cutReader{200000, io.EOF}, 200001, ErrBody},
		{"long", &cutReader{12, io.EOF}, 11, ErrBody},
		{"long, large", &cutReader{200002, io.EOF}, 200001, ErrBody},
		{"cut off", &cutReader{10, io.ErrUnexpectedEOF}, 11, io.ErrUnexpectedEOF},
		{"cut off, unknown", &cutReader{10, io.ErrUnexpectedEOF}, -1, io.ErrUnexpectedEOF},
		{"cut off, unknown, large", &cutReader{200000, io.ErrUnexpectedEOF}, -1, io.ErrUnexpectedEOF},
		{"error at the end", &cutReader{11, errBroken}, 11, errBroken},
		{"error at the end, large", &cutReader{200000, errBroken}, 200000, errBroken},
		{"too large", &cutReader{1, io.EOF}, 1 << 62, ErrInvalid},
	} {
		b, err := r.s.Put(context.Background(), c.body, c.size, PutOptions{})
		if !errors.Is(err, c.want) || b != nil {
			t.Errorf("%s: %v, %v", c.name, b, err)
		}
	}
	if n := len(r.s.Abandoned()); n != 4 {
		t.Errorf("%d blobs abandoned, want the 4 large ones", n)
	}
	if n := len(r.s.Abandoned()); n != 0 {
		t.Errorf("%d blobs abandoned twice", n)
	}
	b := r.put([]byte("x"))
	r.s.Abandon(b.Id)
	if got := r.s.Abandoned(); len(got) != 1 || BlobKeyOf(got[0]) != BlobKeyOf(b.Id) {
		t.Errorf("abandoned %v", got)
	}
}
