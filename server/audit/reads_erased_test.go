package audit

import (
	"testing"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/reads"
)

// put is the record of an event that put a key into bucket 7.
func put(t *testing.T, seq uint64, key string) ledger.Record {
	t.Helper()
	d := event.NewDraft(&event.Header{RequestId: make([]byte, event.RequestIDBytes)}, &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{Bucket: 7}}).
		AddText(event.ItemKind_ITEM_KIND_KEY, 0, key).AddMessage(event.ItemKind_ITEM_KIND_CLIENT, 0, &event.Client{Address: "192.0.2.1"})
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	statement, items := event.Split(b)
	return ledger.Record{
		Seq: seq, Envelope: event.Canonical(&event.Envelope{Seq: seq, Kind: d.Statement.Kind()}),
		Payload: ledger.Payload{Statement: statement, Items: ledger.Present(items)},
	}
}

// TestErasedNames: reads of an erased key are meant, by its name where that is known, in its
// bucket and where no bucket was found; else those of what the event made, and those of its
// bucket that found nothing. Nothing else is.
func TestErasedNames(t *testing.T) {
	known := put(t, 5, "secret")
	gone := put(t, 5, "secret")
	if _, err := gone.Erase(ledger.Target{Seq: 5}); err != nil {
		t.Fatal(err)
	}
	made := func(seq uint64) *event.Version { return &event.Version{Seq: seq} }
	for _, c := range []struct {
		name           string
		read           *event.Read
		key            string
		known, unknown bool // whether it is meant
	}{
		{"what was put", &event.Read{Bucket: 7, Object: made(5)}, "secret", true, true},
		{"another version of the key", &event.Read{Bucket: 7, Object: made(6)}, "secret", true, false},
		{"nothing, by the name", &event.Read{Bucket: 7}, "secret", true, true},
		{"nothing, by another name", &event.Read{Bucket: 7}, "other", false, true},
		{"no bucket, by the name", &event.Read{}, "secret", true, true},
		{"another object", &event.Read{Bucket: 7, Object: made(9)}, "other", false, false},
		{"the name in another bucket", &event.Read{Bucket: 8, Object: made(9)}, "secret", false, false},
		{"nothing in another bucket", &event.Read{Bucket: 8}, "secret", false, false},
	} {
		c.read.Kind = event.ReadKind_READ_KIND_READ
		r, err := (&event.ReadDraft{Read: c.read, Bucket: "b", Key: c.key}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		e, err := reads.Decode(&ledger.Record{Envelope: r.Envelope(0, 1), Payload: ledger.Payload{Statement: r.Statement, Items: ledger.Present(r.Items)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range []struct {
			record *ledger.Record
			want   bool
		}{{&known, c.known}, {&gone, c.unknown}} {
			x := NewErasedNames()
			if err := x.Learn(of.record, nil); err != nil || x.Empty() {
				t.Fatal(err)
			}
			if x.Meant(e) != of.want {
				t.Errorf("%s (names known: %v): meant %v", c.name, of.record == &known, !of.want)
			}
		}
	}
	if x := NewErasedNames(); !x.Empty() {
		t.Error("knows names of nothing")
	}
}
