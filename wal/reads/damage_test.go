package reads

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/sim/disk"
	"ironman/wal/event"
)

// TestDamagedTail: a byte that is another in the middle of the tail takes its batch, not the
// durable ones behind it; the log says which records are gone, the file is kept aside until
// something is erased, and the node hears of it.
func TestDamagedTail(t *testing.T) {
	mem := vfs.NewMem()
	o := options(t, mem)
	l := open(t, o)
	add(t, l, 0, 260)
	add(t, l, 260, 263)
	before := l.Head()
	add(t, l, 263, 265)
	add(t, l, 265, 270)
	noted := l.Head()
	whole := readFile(t, mem, "reads/tail")
	at := strings.Index(string(whole), "key/263")
	if at < 0 {
		t.Fatal("the tail has no record of key/263")
	}
	whole[at] ^= 1
	writeFile(t, mem, "reads/tail", whole)

	l = open(t, o)
	if l.Head().N != 270 || !l.Damaged() {
		t.Fatalf("head of %d, damaged: %v", l.Head().N, l.Damaged())
	}
	aside := func() (names []string) {
		for _, name := range filesBelow(t, mem, "reads") {
			if strings.Contains(name, "tail.damaged.") {
				names = append(names, name)
			}
		}
		return names
	}
	if names := aside(); len(names) != 1 || string(readFile(t, mem, names[0])) != string(whole) {
		t.Fatalf("kept aside: %v", names)
	}
	for i, e := range entries(t, l) {
		want := event.ReadKind_READ_KIND_READ
		switch i {
		case 263:
			want = event.ReadKind_READ_KIND_SET_BACK
		case 264:
			want = event.ReadKind_READ_KIND_LOST
		}
		if e.Read.Kind != want || want == event.ReadKind_READ_KIND_READ && e.Read.GetObject().GetSeq() != uint64(i) {
			t.Fatalf("record %d is %v", i, e.Read)
		}
	}
	if back, err := l.Vouched(noted); !back || err != nil {
		t.Fatalf("set back: %v, %v", back, err)
	}
	v, err := l.Verify(context.Background(), []tlog.Tree{before, noted, l.Head()}, nil)
	var d *Damage
	if !errors.As(err, &d) || d.Record != 263 || v == nil || v.SetBack[0].From != 263 {
		t.Fatalf("%+v, %v", v, err)
	}
	if l = open(t, o); l.Damaged() {
		t.Fatal("damaged again")
	}
	if _, err := l.Erase(context.Background(), func(*Entry) bool { return false }); err != nil || aside() != nil {
		t.Fatalf("kept aside behind an erasure: %v, %v", aside(), err)
	}

	// A header that cannot be read is damage, too: the file was made in one step.
	whole = readFile(t, mem, "reads/tail")
	whole[6] ^= 1
	writeFile(t, mem, "reads/tail", whole)
	if l = open(t, o); !l.Damaged() || len(aside()) != 1 || l.Head().N != 256 {
		t.Fatalf("damaged %v, aside %v, head of %d", l.Damaged(), aside(), l.Head().N)
	}
}

// TestSweep: what a crash left of payload bundles that were being written is gone after the
// next start.
func TestSweep(t *testing.T) {
	mem := vfs.NewMem()
	o := options(t, mem)
	l := open(t, o)
	add(t, l, 0, 300)
	if err := mem.MkdirAll("reads/payload/x001", 0o755); err != nil {
		t.Fatal(err)
	}
	left := []string{"reads/payload/000.tmp", "reads/payload/007.tmp", "reads/payload/x001/003.tmp"}
	for _, name := range left {
		writeFile(t, mem, name, []byte("secret-name"))
	}
	l = open(t, o)
	for _, name := range left {
		if _, err := mem.Stat(name); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if len(entries(t, l)) != 300 {
		t.Error("records are gone")
	}
}

// TestStatusWaitsForNoDisk: whoever asks how the log is gets an answer while a write hangs.
func TestStatusWaitsForNoDisk(t *testing.T) {
	d := disk.New(rand.New(rand.NewPCG(1, 1)), disk.Config{})
	o := options(t, d)
	l := open(t, o)
	add(t, l, 0, 5)
	hangs, free := make(chan struct{}), make(chan struct{})
	first := true
	d.Watch(disk.Hooks{Before: func(disk.Op) error {
		if first {
			first = false
			close(hangs)
			<-free
		}
		return nil
	}})
	l.Add(draft(5))
	done := make(chan error, 1)
	go func() { done <- l.Flush() }()
	<-hangs
	told := make(chan Status, 1)
	go func() { told <- l.Status() }()
	select {
	case st := <-told:
		if st.Records != 5 || st.Tail == 0 {
			t.Errorf("%+v", st)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the disk")
	}
	close(free)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
