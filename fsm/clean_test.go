package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
)

// sightings tells in which files of a directory a text is: as it is, or, of tables, in a
// block that is compressed. Where a compaction makes or takes away a file meanwhile, it
// looks anew.
func sightings(t *testing.T, fs vfs.FS, dir, text string) (in []string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(dir, name))
		if errors.Is(err, iofs.ErrNotExist) {
			return sightings(t, fs, dir, text)
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".sst") {
			table, ok := tableText(t, b)
			if !ok {
				time.Sleep(10 * time.Millisecond) // it is being written
				return sightings(t, fs, dir, text)
			}
			b = append(b, table...)
		}
		if bytes.Contains(b, []byte(text)) {
			in = append(in, name)
		}
	}
	return in
}

// tableText is all of a table: what its blocks say, of index and data, and every key and
// value, those that newer ones hide among them. False: it is not whole.
func tableText(t *testing.T, table []byte) (text []byte, ok bool) {
	t.Helper()
	fs := vfs.NewMem()
	w, err := fs.Create("table", vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = w.Write(bytes.Clone(table))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open("table")
	if err != nil {
		t.Fatal(err)
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		t.Fatal(err)
	}
	o := &pebble.Options{}
	o.EnsureDefaults()
	r, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
	if err != nil {
		_ = readable.Close()
		return nil, false
	}
	layout, err := r.Layout()
	if err != nil {
		t.Fatal(err)
	}
	out := []byte(layout.Describe(true, r, nil))
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		t.Fatal(err)
	}
	for kv := it.First(); kv != nil; kv = it.Next() {
		v, _, err := kv.Value(nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, kv.K.UserKey...), v...)
	}
	if err := errors.Join(it.Error(), it.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	return out, true
}

const canary = "canary-of-a-name-that-must-go"

// withCanary makes a state in which a name was put, deleted and trimmed, with tables of
// all ages above and below it, and keeps snapshots open meanwhile.
func withCanary(t *testing.T, others int) *rig {
	r := newRig(t, Options{Tune: func(o *pebble.Options) {
		small(o)
		for i := range o.TargetFileSizes {
			o.TargetFileSizes[i] = 16 << 10
		}
		o.LBaseMaxBytes = 64 << 10 // so that there are levels
	}})
	r.level = 4
	bucket := r.genesis(3600e9)
	some := func(from int) {
		for i := range others {
			r.accept(r.put(bucket, fmt.Sprintf("%05d-%d", i*7919%10007, from), 10))
		}
	}
	some(0)
	r.accept(r.put(bucket, "00500-"+canary, 10).AddText(event.ItemKind_ITEM_KIND_HEADERS, 0, "\x0a\x1d"+canary))
	some(1)
	// The last row of a table is named in the MANIFEST.
	last := append([]byte{0xf0}, canary...)
	if err := errors.Join(r.db.Set(last, nil, pebble.NoSync), r.Flush(), r.db.Delete(last, pebble.NoSync)); err != nil {
		t.Fatal(err)
	}
	v := r.view() // so that what it can read stays
	r.delete(bucket, "00500-"+canary)
	some(2)
	r.accept(event.NewDraft(r.header(), &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{To: r.Applied().Next, Rows: 1000}}))
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := r.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// clean is Clean, with little patience.
func clean(ctx context.Context, m *Machine, reserve uint64) error {
	return m.Clean(ctx, reserve, func() error {
		time.Sleep(time.Millisecond)
		return ctx.Err()
	})
}

// TestClean: of a name that is deleted nothing is left in any file, whatever a view kept;
// the state is the same, also when it is opened again.
func TestClean(t *testing.T) {
	for _, others := range []int{0, 3, 1500} {
		t.Run(fmt.Sprintf("%d others", others), func(t *testing.T) {
			r := withCanary(t, others)
			before := sightings(t, r.options.FS, "state", canary)
			if in := fmt.Sprint(before); !strings.Contains(in, ".sst") || others < 100 && !strings.Contains(in, manifestPrefix) {
				t.Fatalf("the name was in %q: nothing is proven", before)
			}
			rows, digest := allRows(t, r.Machine), r.Applied().Digest
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := clean(ctx, r.Machine, 0); err != nil {
				t.Fatal(err)
			}
			if after := sightings(t, r.options.FS, "state", canary); len(after) > 0 {
				t.Errorf("the name is still in %q, before it was in %q", after, before)
			}
			delete(rows, string(key(tableCleaned)))
			after := allRows(t, r.Machine)
			delete(after, string(key(tableCleaned)))
			if d := diffRows(after, rows); d != "" || r.Applied().Digest != digest || recomputed(t, r.Machine) != digest {
				t.Errorf("the state changed:\n%s", d)
			}
			if _, err := r.Checkpoint("copy"); err != nil {
				t.Fatal(err)
			}
			if in := sightings(t, r.options.FS, "copy", canary); len(in) > 0 {
				t.Errorf("in a checkpoint the name is in %q", in)
			}
			r.close()
			if _, err := Verify(r.options.FS, "state"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCleanWaitsForViews: what a view that is open can read is not taken for gone.
func TestCleanWaitsForViews(t *testing.T) {
	r := newRig(t, Options{})
	bucket := r.genesis(0)
	r.accept(r.put(bucket, canary, 10))
	v := r.view()
	r.delete(bucket, canary)
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := clean(short, r.Machine, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beside a view that can read the name: %v", err)
	}
	if o, err := v.Object(bucket, canary); err != nil || o == nil {
		t.Errorf("the view does not show it: %v", err)
	}
	if err := errors.Join(v.Close(), clean(context.Background(), r.Machine, 0)); err != nil {
		t.Fatal(err)
	}
	if in := sightings(t, r.options.FS, "state", canary); len(in) > 0 {
		t.Errorf("it is still in %q", in)
	}
	r.close()
}

// TestCleanBesideApply: events go on meanwhile, and nothing of them is lost.
func TestCleanBesideApply(t *testing.T) {
	r := withCanary(t, 300)
	bucket := uint64(r.Applied().Next)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r.propose(r.put(bucket, fmt.Sprintf("meanwhile-%d", i), 10)) // of no such bucket
			if v, err := r.View(); err == nil {
				_ = v.Close()
			}
		}
	}()
	err := clean(context.Background(), r.Machine, 0)
	close(stop)
	<-done
	if err != nil {
		t.Fatal(err)
	}
	if in := sightings(t, r.options.FS, "state", canary); len(in) > 0 {
		t.Errorf("the name is still in %q", in)
	}
	if recomputed(t, r.Machine) != r.Applied().Digest {
		t.Error("the rows do not make the digest")
	}
	r.close()
}

// TestCleanCrashes: whatever moment ends it, what is left is a whole state, which can be
// cleaned.
func TestCleanCrashes(t *testing.T) {
	fs := vfs.NewCrashableMem()
	r := newRig(t, Options{FS: fs, Tune: small})
	bucket := r.genesis(0)
	for i := range 200 {
		r.accept(r.put(bucket, fmt.Sprintf("%05d-%s", i*7919%10007, canary), 10))
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		r.delete(bucket, fmt.Sprintf("%05d-%s", i*7919%10007, canary))
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	want, done := r.Applied().Digest, make(chan error)
	go func() {
		var errs error
		for range 20 {
			errs = errors.Join(errs, clean(context.Background(), r.Machine, 0))
		}
		done <- errs
	}()
	random := rand.New(rand.NewPCG(1, 2))
	crashes := 0
	for ended := false; !ended; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			ended = true
		case <-time.After(100 * time.Microsecond):
		}
		crashes++
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: random})
		if a, err := Verify(clone, "state"); err != nil || a.Digest != want {
			t.Fatalf("after a crash: %v", err)
		}
		if crashes%10 > 0 {
			continue
		}
		again := memory(t, Options{FS: clone})
		if err := clean(context.Background(), again, 0); err != nil {
			t.Fatal(err)
		}
		if in := sightings(t, clone, "state", canary); len(in) > 0 {
			t.Errorf("after a crash and another try the names are in %q", in)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if crashes < 20 {
		t.Errorf("only %d crashes", crashes)
	}
	r.close()
}

// TestCleanRefusesWithoutRoom: what would fill the disk is not begun.
func TestCleanRefusesWithoutRoom(t *testing.T) {
	r := newRig(t, Options{FS: fullFS{vfs.NewMem()}})
	r.genesis(0)
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := clean(context.Background(), r.Machine, 1<<20); !errors.Is(err, ErrNoRoom) {
		t.Errorf("with 1 MiB free, which is the reserve: %v", err)
	}
	if err := clean(context.Background(), r.Machine, 0); err != nil {
		t.Errorf("without a reserve: %v", err)
	}
	r.close()
}

// fullFS has 1 MiB free.
type fullFS struct{ vfs.FS }

func (fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 1 << 30}, nil
}

// TestCleaned: the note is durable, is this node's alone, and is no part of the state.
func TestCleaned(t *testing.T) {
	r := newRig(t, Options{})
	r.genesis(0)
	digest := r.Applied().Digest
	if through, err := r.Cleaned(1); err != nil || through != 0 {
		t.Errorf("of a state without a note: %d, %v", through, err)
	}
	if err := r.SetCleaned(1, 7); err != nil {
		t.Fatal(err)
	}
	r.close()
	r.Machine = memory(t, r.options)
	mine, err := r.Cleaned(1)
	others, err2 := r.Cleaned(2)
	if mine != 7 || others != 0 || err != nil || err2 != nil {
		t.Errorf("it reads %d, %v; another node's %d, %v", mine, err, others, err2)
	}
	if r.Applied().Digest != digest || recomputed(t, r.Machine) != digest {
		t.Error("it is in the digest")
	}
	if err := clean(context.Background(), r.Machine, 0); err != nil {
		t.Fatal(err)
	}
	if mine, err := r.Cleaned(1); mine != 7 || err != nil {
		t.Errorf("after Clean it reads %d, %v", mine, err)
	}
	r.close()
}

// TestCleanOnABusyNode: Clean waits for the compactions that are under way when the views that
// can see what is deleted are gone, and for none that begins later: there may be one at any
// time.
func TestCleanOnABusyNode(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	r.level = 4
	bucket := r.genesis(0)
	for i := range 50 {
		r.accept(r.put(bucket, fmt.Sprint(i), 10))
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	for r.db.Metrics().Compact.NumInProgress > 0 {
		time.Sleep(time.Millisecond)
	}
	if now := r.compactions.now(); len(now) > 0 {
		t.Errorf("nothing is under way, noted are %v", now)
	}
	// Jobs that Pebble does not know.
	r.compactions.begin(pebble.CompactionInfo{JobID: 1 << 30})
	waited := 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.Clean(ctx, 0, func() error {
		time.Sleep(time.Millisecond)
		if waited++; waited == 20 {
			r.compactions.begin(pebble.CompactionInfo{JobID: 1<<30 + 1}) // and does not end
			r.compactions.end(pebble.CompactionInfo{JobID: 1 << 30})
		}
		return ctx.Err()
	}); err != nil {
		t.Fatal(err)
	}
	if waited < 20 {
		t.Errorf("it did not wait for a compaction that was under way: %d times", waited)
	}
}

// TestCompactionsAreNoted: what Pebble compacts is noted while it does.
func TestCompactionsAreNoted(t *testing.T) {
	var m *Machine
	began, ended := 0, 0 // under Pebble's lock
	r := newRig(t, Options{Tune: func(o *pebble.Options) {
		l := *o.EventListener
		o.EventListener.CompactionBegin = func(i pebble.CompactionInfo) {
			l.CompactionBegin(i)
			if m != nil && m.compactions.any([]int{i.JobID}) {
				began++
			}
		}
		o.EventListener.CompactionEnd = func(i pebble.CompactionInfo) {
			l.CompactionEnd(i)
			if m != nil && !m.compactions.any([]int{i.JobID}) {
				ended++
			}
		}
	}})
	m = r.Machine
	bucket := r.genesis(0)
	for i := range 3 {
		r.accept(r.put(bucket, fmt.Sprint(i), 10))
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	r.close()
	if began == 0 || began != ended {
		t.Errorf("%d were noted when they began, %d not any more when they ended", began, ended)
	}
}
