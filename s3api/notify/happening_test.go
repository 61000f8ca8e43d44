package notify

import (
	"fmt"
	"testing"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// TestRestored: each key that a restore changed is told of as what a client's request
// would have been, and one that it left is not.
func TestRestored(t *testing.T) {
	version := func(seq uint64) *event.Version { return &event.Version{Seq: seq} }
	d := event.NewDraft(&event.Header{RequestId: make([]byte, 16)}, &event.Statement_ObjectsRestored{ObjectsRestored: &event.ObjectsRestored{
		Bucket: 7, Source: 7, To: 5, Seen: 9, Keys: 6,
	}})
	for i := range 6 {
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, fmt.Sprint("k", i))
	}
	o := &event.Outcome{Subs: []*event.SubOutcome{
		{Restored: event.RestoredKind_RESTORED_KIND_PUT, Version: version(10), NullVersion: true, Size: 5, Etag: "e"},
		{Restored: event.RestoredKind_RESTORED_KIND_REMOVED, Version: version(4), NullVersion: true},
		{Restored: event.RestoredKind_RESTORED_KIND_REMOVED, Version: version(11), DeleteMarker: true},
		{Restored: event.RestoredKind_RESTORED_KIND_CHANGED, Version: version(6), Size: 6, Etag: "f"},
		{Absent: true},
		{Refusal: event.Refusal_REFUSAL_CONFLICT},
	}}
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	p, err := event.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	r := &ledger.Record{Seq: 12, Envelope: event.Canonical(&event.Envelope{Seq: 12, Kind: p.Statement.Kind()}), Payload: ledger.Payload{
		Statement: p.StatementBytes, Items: ledger.Present(p.ItemBytes), Outcome: event.Canonical(o),
	}}
	got, err := Of(r)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ObjectCreated:Copy k0  5 e 0", "ObjectRemoved:Delete k1  0  1", "ObjectRemoved:DeleteMarkerCreated k2 " + version(11).ID() + " 0  2",
		"ObjectAcl:Put k3 " + version(6).ID() + " 0  3", "ObjectTagging:Put k3 " + version(6).ID() + " 0  3",
	}
	if len(got) != len(want) {
		t.Fatalf("%d were told: %+v", len(got), got)
	}
	for i, h := range got {
		if s := fmt.Sprintln(h.Name, h.Key, h.Version, h.Size, h.ETag, h.Ordinal); s != want[i]+"\n" || h.Bucket != 7 || h.Seq != 12 {
			t.Errorf("%+v is told, not %q", h, want[i])
		}
	}
}
