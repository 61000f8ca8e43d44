package reads

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// TestCutOff: reads that the end of the node cuts off are counted, once, and the log says so.
func TestCutOff(t *testing.T) {
	o := options(t, vfs.NewMem())
	l := open(t, o)
	add(t, l, 0, 1)
	l.CutOff(2)
	l.Add(draft(1)) // one of them, after all
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all := entries(t, open(t, o))
	if len(all) != 2 || all[1].Read.Kind != event.ReadKind_READ_KIND_DROPPED || all[1].Read.Records != 2 || l.Status().Dropped != 2 {
		t.Fatalf("%d records, %+v", len(all), l.Status())
	}
}

// TestExpireSetBack: that a log was set back is known also when the record that said so is
// kept no longer, and when that goes which said it again.
func TestExpireSetBack(t *testing.T) {
	o := options(t, vfs.NewMem())
	l := open(t, o)
	add(t, l, 0, 10)
	early := l.Head()
	other := open(t, options(t, vfs.NewMem()))
	add(t, other, 0, 40)
	noted := other.Head() // what the ledger knows of, and is gone
	if back, err := l.Vouched(noted); !back || err != nil {
		t.Fatal(back, err)
	}
	from := 40
	for _, kept := range []uint64{256, 512, 1024} {
		add(t, l, from, int(kept)+300)
		from = int(kept) + 300
		if below, err := l.Expire(begin.Add(draftAge(int(kept) + 40))); err != nil || below != kept {
			t.Fatalf("below %d, %v", below, err)
		}
		l = open(t, o)
		v, err := l.Verify(context.Background(), []tlog.Tree{early, noted, l.Head()}, nil)
		var d *Damage
		if !errors.As(err, &d) || d.Record != 10 || v == nil || len(v.SetBack) != 1 || v.SetBack[0] != (SetBack{10, 40}) {
			t.Fatalf("kept from %d on: %+v, %v", kept, v, err)
		}
	}
}
