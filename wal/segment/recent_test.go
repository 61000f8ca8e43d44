package segment

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What was cut off is not served from memory either.
func TestCacheFollowsTruncation(t *testing.T) {
	l := open(t, options(t, vfs.NewMem()))
	must(t, l.Append(run(1, 10, 1, 100)))
	must(t, l.TruncateSuffix(5))
	must(t, l.Append(run(5, 2, 2, 100)))
	if e, err := l.Entry(5); err != nil || !same(e, entry(5, 2, 100)) {
		t.Fatal(e, err)
	}
	must(t, l.Reset(20))
	must(t, l.Append(run(21, 1, 3, 100)))
	for i := uint64(1); i <= 20; i++ {
		if _, err := l.ArchiveEntry(i); !errors.Is(err, ErrNotFound) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	e := entry(21, 3, 100)
	if l.recent.bytes != entryBytes(&e) {
		t.Fatalf("%d bytes in memory", l.recent.bytes)
	}
	must(t, l.Close())
}

func TestRecent(t *testing.T) {
	var r recent
	check := func(index uint64, want bool) {
		t.Helper()
		e, ok := r.get(index)
		if ok != want || ok && e.Index != index {
			t.Fatalf("entry %d: %v, %v; %d to %d, %d bytes", index, e.Index, ok, r.low, r.high, r.bytes)
		}
	}
	check(0, false)
	for i := uint64(5); i < 5+3*recentEntries; i++ {
		r.add(&Entry{Index: i, Data: make([]byte, 10)})
	}
	check(4+3*recentEntries, true)
	check(5+2*recentEntries, true)
	check(4+2*recentEntries, false)
	next := uint64(5 + 3*recentEntries)
	r.add(&Entry{Index: next, Data: make([]byte, recentBytes)})
	check(next, true)
	check(next-1, false)
	r.add(&Entry{Index: next + 1, Data: make([]byte, recentBytes+1)})
	check(next+1, false)
	r.add(&Entry{Index: next + 2, Data: make([]byte, 1)})
	check(next+2, true)
	if r.bytes != 1 {
		t.Fatal(fmt.Sprint(r.bytes, " bytes"))
	}
	r.reset()
	check(next+2, false)
}
