package event

import (
	"bytes"
	"testing"
)

// TestGoldenReads pins the bytes of records of reads: what is in somebody's log is for ever.
func TestGoldenReads(t *testing.T) {
	all := map[string]*Read{
		"read": {
			Kind: ReadKind_READ_KIND_READ, Operation: "GetObject", Bucket: 7, Version: "v", Range: "bytes=0-9", Object: version(40), Status: 206,
			Code: "NoSuchKey", Reason: &Reason{Kind: ReasonKind_REASON_KIND_OWNER, View: 12}, Sent: 10, Broken: true, AsOf: 11, Began: 1700000000e9,
		},
		"copy_source": {Kind: ReadKind_READ_KIND_COPY_SOURCE, Operation: "CopyObject", Bucket: 7},
		"dropped":     {Kind: ReadKind_READ_KIND_DROPPED, Records: 5, Began: 1},
		"set_back":    {Kind: ReadKind_READ_KIND_SET_BACK, NotedSize: 9, NotedRoot: bytes.Repeat([]byte{7}, 32)},
		"lost":        {Kind: ReadKind_READ_KIND_LOST},
		"expired":     {Kind: ReadKind_READ_KIND_EXPIRED, From: 256, Records: 512},
		"erased":      {Kind: ReadKind_READ_KIND_ERASED, From: 80, Records: 2},
		"begun":       {Kind: ReadKind_READ_KIND_BEGUN, Incarnation: 3, Torn: 4},
	}
	want := make(map[string][]byte)
	for name, r := range all {
		want[name] = Canonical(r)
		back := &Read{}
		if err := Decode(want[name], back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(Canonical(back), want[name]) {
			t.Errorf("%s is not what was encoded", name)
		}
	}
	r := &ReadRecord{RequestID: []byte("0123456789abcdef"), Principal: "AIDA1", Statement: want["read"], Items: [][]byte{[]byte("one"), []byte("two")}}
	want["envelope"] = r.Envelope(5, 1700000001e9)
	compare(t, "reads.txt", want)
}

// TestReadDraft: a record commits to its items one by one, each with a salt of its own, and
// what could not be decoded is not made.
func TestReadDraft(t *testing.T) {
	d := &ReadDraft{Read: &Read{}, Bucket: "b", Key: "k", Client: &Client{Address: "192.0.2.1"}}
	a, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Marshal()
	if err != nil || len(a.Items) != 3 {
		t.Fatalf("%d items, %v", len(a.Items), err)
	}
	for i := range a.Items {
		if bytes.Equal(a.Items[i], b.Items[i]) {
			t.Errorf("item %d has no salt", i)
		}
	}
	d.Client.UserAgent = "\xff"
	if _, err := d.Marshal(); err == nil {
		t.Error("text that is not UTF-8 passes")
	}
	if _, err := (&ReadDraft{Read: &Read{}, RequestID: make([]byte, 17)}).Marshal(); err == nil {
		t.Error("a long request id passes")
	}
}
