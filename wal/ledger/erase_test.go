package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestErase(t *testing.T) {
	fsys, a := filled(t, 768)
	was := tree(t, fsys, "ledger")
	all := records(0, 768)
	secret := all[303].Items[1].Bytes
	targets := []Target{{Seq: 303, Items: []int{1}}, {Seq: 7}, {Seq: 301, Items: []int{0}}, {Seq: 4}, {Seq: 303, Items: []int{1}}}
	for range 2 { // erasing twice is erasing once
		if err := a.Erase(targets); err != nil {
			t.Fatal(err)
		}
		verifyErased(t, a, targets...)
	}
	for seq, want := range map[uint64]string{303: "+-+", 7: "---", 301: "-", 4: "", 302: "++", 700: ""} {
		p, err := a.Payload(seq)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i := range p.Items {
			if p.Items[i].Erased {
				got += "-"
			} else {
				got += "+"
			}
		}
		if got != want {
			t.Errorf("items of %d: %q, want %q", seq, got, want)
		}
		equalRecords(t, Record{Seq: seq, Envelope: all[seq].Envelope, Payload: p}, all[seq])
	}
	now := tree(t, fsys, "ledger")
	for name := range was {
		changed := now[name] != was[name]
		if want := name == "payload/000" || name == "payload/001"; changed != want {
			t.Errorf("%s changed: %v", name, changed)
		}
	}
	ps, err := decodePayloads(testCodec(t), []byte(now["payload/001"]), 256, 256)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ps {
		if bytes.Contains(appendPayload(nil, &ps[i]), secret) {
			t.Fatal("the erased bytes are still there")
		}
	}
	// Who still has the bytes and who has not may both append it again.
	a = open(t, options(t, fsys))
	mustAppend(t, a, all[250:])
	all[303].Items = ps[303-256].Items
	mustAppend(t, a, all[250:])
	other := open(t, options(t, vfs.NewMem()))
	mustAppend(t, other, all)
	if other.Tree() != a.Tree() {
		t.Fatal("a ledger from erased items has another root")
	}
}

func TestEraseRefuses(t *testing.T) {
	fsys, a := filled(t, 512)
	was := tree(t, fsys, "ledger")
	for _, target := range []Target{{Seq: 3, Items: []int{3}}, {Seq: 3, Items: []int{-1}}, {Seq: 4, Items: []int{0}}} {
		if err := a.Erase([]Target{{Seq: 7}, target}); !errors.Is(err, ErrRecord) {
			t.Errorf("%v: got %v", target, err)
		}
	}
	if err := a.Erase(nil); err != nil {
		t.Fatal(err)
	}
	same(t, tree(t, fsys, "ledger"), was)
	// Damaged bytes are evidence: they are not replaced by a hash of something else.
	forger{t, fsys}.payload(303, func(p *Payload) { p.Items[0].Bytes[17]++ })
	was = tree(t, fsys, "ledger")
	if err := a.Erase([]Target{{Seq: 303}}); !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), "303") {
		t.Fatalf("got %v", err)
	}
	same(t, tree(t, fsys, "ledger"), was)
}

// A crash anywhere in an erasure leaves each bundle old or new; erasing again
// erases durably, and nothing else stays on the disk.
func TestEraseCrashes(t *testing.T) {
	base, a := filled(t, 768)
	targets := []Target{{Seq: 3}, {Seq: 303}, {Seq: 600, Items: nil}, {Seq: 602, Items: []int{1}}}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	ref := base.CrashClone(vfs.CrashCloneCfg{})
	erase := func(fsys vfs.FS) {
		o := options(t, fsys)
		a := open(t, o)
		if err := a.Erase(targets); err != nil {
			t.Fatal(err)
		}
		verifyErased(t, a, targets...)
	}
	erase(ref)
	want := tree(t, ref, "ledger")
	for k := 0; ; k += stride {
		for how := range endings {
			disk := crashAt(base.CrashClone(vfs.CrashCloneCfg{}), k, how, erase)
			if disk == nil {
				t.Logf("%d operations", k)
				return
			}
			erase(disk)
			same(t, tree(t, disk.CrashClone(vfs.CrashCloneCfg{}), "ledger"), want)
		}
	}
}

// TestEraseLenient: of items some of which are not there, the others go.
func TestEraseLenient(t *testing.T) {
	_, a := filled(t, 256)
	if err := a.Erase([]Target{{Seq: 47, Items: []int{1, 99}}}); !errors.Is(err, ErrRecord) {
		t.Errorf("an item that is not there: %v", err)
	}
	if err := a.Erase([]Target{{Seq: 47, Items: []int{1, 99}, Lenient: true}, {Seq: 4, Items: []int{7}, Lenient: true}}); err != nil {
		t.Fatal(err)
	}
	p, err := a.Payload(47)
	if err != nil || !p.Items[1].Erased || p.Items[0].Erased {
		t.Errorf("the items of 47: %+v, %v", p.Items, err)
	}
	verifyErased(t, a, Target{Seq: 47, Items: []int{1}})
}
