package disk

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faulty has two durable files, of 5 blocks of 'a' and of 'b', open.
func faulty(t *testing.T) (d *Disk, a, b vfs.File) {
	t.Helper()
	d = New(seeded(1), Config{Volumes: []Mount{{Path: "/disk1"}}})
	save(t, d, "/disk1/a", strings.Repeat("a", 5*4096))
	save(t, d, "/disk1/b", strings.Repeat("b", 5*4096))
	open := func(name string) vfs.File {
		f, err := d.OpenReadWrite(name, "")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return d, open("/disk1/a"), open("/disk1/b")
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		n     int
		err   error
		// of the file that was written, of the other, and of the first after a sync and a cut
		a, b, cut int // bytes that are new
	}{
		{WriteError, 0, syscall.EIO, 0, 0, 0},
		{NoSpace, 0, syscall.ENOSPC, 0, 0, 0},
		{LostWrite, 1000, nil, 0, 0, 0},
		{LostSync, 1000, nil, 1000, 0, 0},
		{MisdirectedOffset, 1000, nil, 1000, 0, 1000}, // elsewhere
		{MisdirectedFile, 1000, nil, 0, 1000, 0},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			d, a, _ := faulty(t)
			d.Volume("/disk1").Faults(Rule{Fault: c.fault, P: 1, Times: 1})
			n, err := a.WriteAt(bytes.Repeat([]byte("n"), 1000), 8292)
			if n != c.n || !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Errorf("%d, %v", n, err)
			}
			count := func(d *Disk, name string) int { return strings.Count(read(t, d, name), "n") }
			if x, y := count(d, "/disk1/a"), count(d, "/disk1/b"); x != c.a || y != c.b {
				t.Errorf("%d bytes of the file are new, and %d of the other", x, y)
			}
			if in := read(t, d, "/disk1/a")[8292:9292]; c.fault == MisdirectedOffset && strings.Contains(in, "n") {
				t.Error("it was written where it should be")
			}
			if err := a.Sync(); err != nil {
				t.Error(err)
			}
			if x := count(d.Cut(nil, Keep(100)), "/disk1/a"); x != c.cut {
				t.Errorf("%d bytes are new after a cut", x)
			}
			if counts(d)[c.fault.String()] != 1 {
				t.Error("it is not counted")
			}
			if _, err := a.WriteAt([]byte("again"), 0); err != nil || read(t, d, "/disk1/a")[:5] != "again" {
				t.Error("it fires more than once", err)
			}
		})
	}
}

func TestShortWrite(t *testing.T) {
	d, a, _ := faulty(t)
	d.Volume("/disk1").Faults(Rule{Fault: ShortWrite, P: 1, Match: func(o Op) bool { return o.Path == "/disk1/a" && o.Length > 100 }})
	if n, err := a.Write(make([]byte, 100)); n != 100 || err != nil {
		t.Error(n, err)
	}
	n, err := a.Write(bytes.Repeat([]byte("n"), 5000))
	if n >= 5000 || !errors.Is(err, syscall.EIO) || strings.Count(read(t, d, "/disk1/a"), "n") != n {
		t.Error(n, err)
	}
}

// F-D3: after a sync that failed the pages count as clean: later syncs succeed, and
// what was to be written is lost with the next cut. What is written again is not.
func TestSyncErrorIsForGood(t *testing.T) {
	lost := 0
	for range 20 {
		d, a, _ := faulty(t)
		d.rng = seeded(uint64(lost) + 77)
		if _, err := a.WriteAt(bytes.Repeat([]byte("n"), 5*4096), 0); err != nil {
			t.Fatal(err)
		}
		d.Volume("/disk1").Faults(Rule{Fault: SyncError, P: 1, Times: 1})
		if err := a.SyncData(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		if _, err := a.WriteAt([]byte("m"), 0); err != nil {
			t.Fatal(err)
		}
		if err := a.Sync(); err != nil {
			t.Fatal("it fails for ever:", err)
		}
		if got := read(t, d, "/disk1/a"); got != "m"+strings.Repeat("n", 5*4096-1) {
			t.Fatal("it is not read as it was written")
		}
		after := read(t, d.Kill().Cut(nil, Keep(100)), "/disk1/a")
		if after[:4096] != "m"+strings.Repeat("n", 4095) {
			t.Fatal("what was written again is lost")
		}
		lost += strings.Count(after, "a") / 4096
	}
	if lost == 0 || lost == 80 {
		t.Errorf("%d of 80 blocks are lost", lost)
	}
	// And of a directory.
	d, _, _ := faulty(t)
	put(t, d, "/disk1/c", "")
	d.Volume("/disk1").Faults(Rule{Fault: SyncError, P: 1, Times: 1})
	if err := syncDir(d, "/disk1"); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := syncDir(d, "/disk1"); err != nil || listing(d) != "/disk1/a /disk1/b /disk1/c" {
		t.Fatal(err)
	}
	if got := listing(d.Cut(nil, Keep(100))); got != "/disk1/a /disk1/b" {
		t.Error(got)
	}
}

// A fault that found nothing to strike has not struck.
func TestFaultWaitsForItsChance(t *testing.T) {
	d, a, _ := faulty(t)
	d.Volume("/disk1").Faults(Rule{Fault: BitRot, P: 1, Times: 1})
	if n, err := a.ReadAt(make([]byte, 10), 5*4096); n != 0 || err != io.EOF || counts(d)["bit rot"] != 0 {
		t.Error(n, err)
	}
	if _, err := a.ReadAt(make([]byte, 10), 0); err != nil || counts(d)["bit rot"] != 1 {
		t.Error("it does not strike any more", err)
	}
}

// What happens while an operation waits counts: a sync is of what was before it, and
// an incarnation that ends has no faults.
func TestWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a, _ := faulty(t)
		v := d.Volume("/disk1")
		put(t, d, "/disk1/before", "")
		v.Faults(Rule{Fault: Stall, P: 1, For: time.Hour, Match: func(o Op) bool { return o.Kind == SyncDir || o.Path == "/disk1/a" }}, Rule{Fault: WriteError, P: 1, Match: func(o Op) bool { return o.Path == "/disk1/a" }})
		done := make(chan error)
		go func() { done <- syncDir(d, "/disk1") }()
		synctest.Wait()
		put(t, d, "/disk1/while", "")
		if err := <-done; err != nil || listing(d.Cut(nil, Keep(0))) != "/disk1/a /disk1/b /disk1/before" {
			t.Error(listing(d.Cut(nil, Keep(0))), err)
		}
		go func() {
			_, err := a.Write([]byte("x"))
			done <- err
		}()
		synctest.Wait()
		d.Detach()
		if err := <-done; err != nil || counts(d)["write error"] != 0 {
			t.Error(err)
		}
	})
}

func TestReadFaults(t *testing.T) {
	diff := func(p []byte) (n int) {
		for _, c := range p {
			if c != 'a' {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		fault       Fault
		least, most int
		stays       bool
	}{{ReadError, 4000, 4000, false}, {MisdirectedRead, 4000, 4000, false}, {BitRot, 1, 1, true}, {SectorRot, 1, 512, true}, {BlockRot, 1, 4000, true}} {
		t.Run(c.fault.String(), func(t *testing.T) {
			d, a, _ := faulty(t)
			d.Volume("/disk1").Faults(Rule{Fault: c.fault, P: 1, Times: 1})
			p := make([]byte, 4000)
			if n, err := a.ReadAt(p, 4096); c.fault == ReadError && !errors.Is(err, syscall.EIO) || c.fault != ReadError && (n != 4000 || err != nil) {
				t.Error(n, err)
			}
			n := diff(p)
			if n < c.least || n > c.most {
				t.Errorf("%d bytes are wrong", n)
			}
			if _, err := a.ReadAt(p, 4096); err != nil || (diff(p) > 0) != c.stays {
				t.Error(diff(p), err)
			}
			if after := read(t, d.Cut(nil, Keep(0)), "/disk1/a"); (diff([]byte(after)) > 0) != c.stays {
				t.Error("after a cut it is otherwise")
			}
			if counts(d)[c.fault.String()] != 1 {
				t.Error("it is not counted")
			}
		})
	}
}

func TestDamage(t *testing.T) {
	d, a, _ := faulty(t)
	v := d.Volume("/disk1")
	if _, err := a.WriteAt([]byte("dirty"), 100); err != nil {
		t.Fatal(err)
	}
	x, err := v.Damage("/disk1/a", 102, Sector)
	if err != nil || x != (Damage{"/disk1/a", 0, 512}) || read(t, d, "/disk1/a")[102] == 'r' {
		t.Error(x, err)
	}
	if read(t, d.Cut(nil, Keep(0)), "/disk1/a")[102] == 'a' {
		t.Error("what is durable is whole")
	}
	// Also where a sync was lost.
	v.Faults(Rule{Fault: LostSync, P: 1, Times: 1})
	if err := a.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Damage("/disk1/a", 2000, Bit); err != nil || read(t, d.Cut(nil, Keep(0)), "/disk1/a")[2000] == 'a' {
		t.Error("what is durable is whole", err)
	}
	if _, err := v.Damage("/disk1/a", 5*4096, Bit); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	before := read(t, d, "/disk1/b")
	y, ok := v.DamageAny(seeded(3), func(name string) bool { return strings.HasSuffix(name, "b") }, Bit)
	if after := read(t, d, "/disk1/b"); !ok || y.Path != "/disk1/b" || after[y.Offset] == before[y.Offset] || y.Length != 1 {
		t.Error(y, ok)
	}
	if _, ok := v.DamageAny(seeded(3), func(string) bool { return false }, Bit); ok {
		t.Error("there was nothing to damage")
	}
}

// Latency, stalls and hangs are durably blocked waits, which end with the incarnation.
func TestWaits(t *testing.T) {
	took := func(f func()) time.Duration {
		start := time.Now()
		f()
		return time.Since(start)
	}
	synctest.Test(t, func(t *testing.T) {
		d, a, _ := faulty(t)
		v := d.Volume("/disk1")
		sync := func() { _ = a.Sync() }
		if took(sync) != 0 {
			t.Error("it takes time")
		}
		d.SetLatency(Usual())
		usual := took(func() {
			for range 1000 {
				sync()
			}
		})
		if usual < 300*time.Millisecond || usual > 3*time.Second {
			t.Error(usual)
		}
		v.Slow(100)
		if slow := took(func() {
			for range 1000 {
				sync()
			}
		}); slow < 20*usual {
			t.Error(slow)
		}
		v.Heal()
		v.Stall(time.Minute)
		if x := took(sync); x < time.Minute || x > time.Minute+time.Second {
			t.Error(x)
		}
		v.Faults(Rule{Fault: Stall, P: 1, For: time.Hour, Times: 1, Match: func(o Op) bool { return o.Kind == Sync }})
		if x := took(func() { sync(); sync() }); x < time.Hour || x > time.Hour+time.Second {
			t.Error(x)
		}
		d.SetLatency(Latency{})
		for _, end := range []func(){v.Unhang, v.Heal, d.Detach} {
			v.Hang()
			done := make(chan struct{})
			go func() { sync(); close(done) }()
			time.Sleep(24 * time.Hour)
			select {
			case <-done:
				t.Error("it did not hang")
			default:
			}
			if d.Cut(nil, Keep(0)) == nil { // nothing is locked
				t.Fatal()
			}
			end()
			<-done
		}
		fired := counts(d)
		if fired["hang"] != 3 || fired["stall"] != 2 || fired["slow"] == 0 {
			t.Error(fired)
		}
	})
}

// An incarnation that was detached goes on without faults or hooks.
func TestDetach(t *testing.T) {
	d, a, _ := faulty(t)
	v := d.Volume("/disk1")
	v.Faults(Rule{Fault: WriteError, P: 1}, Rule{Fault: Hang, P: 1, Match: func(o Op) bool { return o.Kind == Sync }})
	d.Watch(Hooks{Before: func(Op) error { return errors.New("no") }, Observe: func(Op) { t.Error("it is observed") }, Reads: true})
	next := d.Kill()
	d.Detach()
	d.Detach()
	if _, err := a.WriteAt([]byte("x"), 0); err != nil {
		t.Error(err)
	}
	v.Vanish()
	if err := errors.Join(a.Sync(), a.Close()); err != nil {
		t.Error(err)
	}
	if read(t, next, "/disk1/a")[0] != 'a' {
		t.Error("it wrote to the disk of the next")
	}
	f, err := next.OpenReadWrite("/disk1/a", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, syscall.EIO) {
		t.Error("the rules were not taken over:", err)
	}
	if _, err := f.Read(make([]byte, 1)); err == io.EOF || err != nil {
		t.Error(err)
	}
}
