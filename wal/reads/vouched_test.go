package reads

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// TestVouched: a log that lacks what the cluster knows of says so, once, loudly, and goes on
// behind it; nothing else passes as whole.
func TestVouched(t *testing.T) {
	mem := vfs.NewMem()
	o := options(t, mem)
	var said bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&said, nil))
	l := open(t, o)
	add(t, l, 0, 10)
	early := l.Head()
	tail := readFile(t, mem, "reads/tail")
	add(t, l, 10, 300)
	noted := l.Head()
	add(t, l, 300, 310)
	if back, err := l.Vouched(noted); back || err != nil {
		t.Fatalf("set back: %v, %v", back, err)
	}
	if back, err := l.Vouched(tlog.Tree{}); back || err != nil {
		t.Fatalf("set back: %v, %v", back, err)
	}
	if strings.Contains(said.String(), "SET BACK") {
		t.Fatal(said.String())
	}

	// An old copy of the directory.
	old := vfs.NewMem()
	o.FS = old
	open(t, o)
	writeFile(t, old, "reads/tail", tail)
	l = open(t, o)
	if l.Head() != early {
		t.Fatalf("head %v", l.Head())
	}
	back, err := l.Vouched(noted)
	if !back || err != nil || l.Head().N != 300 || !strings.Contains(said.String(), "SET BACK") {
		t.Fatalf("set back: %v, %v, head of %d; said %s", back, err, l.Head().N, said.String())
	}
	if err := l.Begin(77); err != nil {
		t.Fatal(err)
	}
	add(t, l, 310, 320)
	later := l.Head()
	for i, e := range entries(t, l) {
		want := event.ReadKind_READ_KIND_READ
		switch {
		case i == 10:
			want = event.ReadKind_READ_KIND_SET_BACK
			if e.Read.NotedSize != 300 || !bytes.Equal(e.Read.NotedRoot, noted.Hash[:]) {
				t.Errorf("%v", e.Read)
			}
		case i > 10 && i < 300:
			want = event.ReadKind_READ_KIND_LOST
		case i == 300:
			want = event.ReadKind_READ_KIND_BEGUN
		}
		if e.Read.Kind != want {
			t.Fatalf("record %d is %v", i, e.Read)
		}
	}
	v, err := l.Verify(context.Background(), []tlog.Tree{early, noted, later}, nil)
	var d *Damage
	if !errors.As(err, &d) || d.Record != 10 || v == nil || v.Tree != later || len(v.SetBack) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	// What it says of itself excuses nothing else.
	if v, err := l.Verify(context.Background(), []tlog.Tree{early, noted, {N: 305, Hash: early.Hash}}, nil); err == nil || v != nil {
		t.Fatalf("%+v, %v", v, err)
	}

	// As long as it was, but another one.
	said.Reset()
	if back, err := l.Vouched(tlog.Tree{N: later.N, Hash: noted.Hash}); !back || err != nil || l.Head().N != later.N+1 || !strings.Contains(said.String(), "SET BACK") {
		t.Fatalf("set back: %v, %v, head of %d", back, err, l.Head().N)
	}

	// Everything is gone, and it was more than may be made up for.
	o.FS = vfs.NewMem()
	l = open(t, o)
	if back, err := l.Vouched(tlog.Tree{N: MaxLost + 1}); !back || err == nil || l.Head().N != 0 {
		t.Fatalf("set back: %v, %v", back, err)
	}
}
