package segment

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if string(want) != got {
		t.Errorf("%s differs; look at the change, then run with -update:\n%s", path, got)
	}
}

// The order of disk operations is the durability protocol: a change of this list
// is a change of what survives a crash.
func TestGoldenOperations(t *testing.T) {
	var mu sync.Mutex
	var out strings.Builder
	d := &disk{FS: vfs.NewCrashableMem()}
	d.before = func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&out, "\t%s\n", op)
		return nil
	}
	var l *Log
	step := func(what string, f func() error) {
		t.Helper()
		fmt.Fprintf(&out, "%s\n", what)
		must(t, f())
		l.quiesce()
	}
	reopen := func() (err error) { l, err = Open(options(t, d)); return err }
	step("open a new log", reopen)
	step("append 1", func() error { return l.Append(run(1, 1, 1, 100)) })
	step("append 2-3, 5,000 bytes", func() error { return l.Append(run(2, 2, 1, 2500)) })
	step("append 4, does not fit: rotate", func() error { return l.Append(run(4, 1, 1, 100)) })
	step("append 5, larger than a segment", func() error { return l.Append(run(5, 1, 1, 20000)) })
	step("truncate the suffix from 3", func() error { return l.TruncateSuffix(3) })
	step("append 3", func() error { return l.Append(run(3, 1, 2, 10)) })
	step("truncate the prefix to 3", func() error { return l.TruncatePrefix(3) })
	step("archived up to 2", func() error { return l.SetArchived(2) })
	step("archived up to 3: nothing to release", func() error { return l.SetArchived(3) })
	step("reset to 9", func() error { return l.Reset(9) })
	step("close", l.Close)
	step("open again", reopen)
	step("append 10", func() error { return l.Append(run(10, 1, 1, 10)) })
	mem, tell := d.FS.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{}), d.before
	d.before = nil
	must(t, l.Close())
	d.before = tell
	out.WriteString("(a power cut: the mark behind entry 10 is lost)\n")
	d.FS = mem
	step("open after it", reopen)
	step("close", l.Close)
	golden(t, "operations.txt", out.String())
}

// The bytes of version 1, for ever.
func TestGoldenFormats(t *testing.T) {
	var out strings.Builder
	show := func(what string, b []byte) { fmt.Fprintf(&out, "%s\n%s\n", what, hex.Dump(b)) }
	o := origin{id: 5, salt: 0x1122334455667788}
	frames := o.appendFrame(nil, 0, &Entry{Index: 41, Term: 3, Type: 1, Data: []byte("data"), AppendedAt: time.Unix(1_700_000_000, 123)})
	frames = o.appendFrame(frames, 1, &Entry{Index: 42, Term: 3, Extensions: []byte("extension"), Data: []byte("more data")})
	show("two frames of a batch", frames)
	mark := make([]byte, frameHeader)
	o.putMark(mark, 42)
	show("a mark", mark)
	header := make([]byte, blockBytes)
	putHeader(header, o, 64<<20)
	show("the header of a segment", header[:48])
	m := &manifest{next: 9, floor: 17, retired: []uint64{2, 4}, segments: []record{
		{origin{5, 0x1122334455667788}, 10, 30}, {origin{8, 0x99}, 31, 0},
	}}
	s := Slots{format: manifestFormat(), generation: 12}
	slot, err := s.encode(m.encode())
	must(t, err)
	show("a slot with a manifest", slot[:slotHeader+len(m.encode())])
	golden(t, "formats.txt", out.String())

	// And they read back.
	h := &scan{origin: o, w: window{f: vfs.NewMemFile(frames), size: int64(len(frames))}}
	f, n, ok, err := h.frame(0)
	if !ok || err != nil || f.index != 41 || n != frameHeader+4 {
		t.Fatal("the first frame does not read back")
	}
	if size, err := checkHeader(header, o); err != nil || size != 64<<20 {
		t.Fatal(size, err)
	}
	generation, document, err := decodeSlot(slot, manifestFormat())
	must(t, err)
	back, err := decodeManifest(document)
	must(t, err)
	if generation != 12 || fmt.Sprint(back) != fmt.Sprint(m) {
		t.Fatalf("%d %v", generation, back)
	}
}
