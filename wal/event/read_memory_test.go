package event

import (
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
	"weak"
)

// request is what a draft of a read is made of: large, and with parts that others point into.
type request struct {
	id [RequestIDBytes]byte
	_  [1 << 20]byte // so that it is worth keeping out
}

// TestReadRecordKeepsNoRequest: a record that waits keeps nothing of the request alive that
// it was made of, so that the memory that it takes is what Bytes says.
func TestReadRecordKeepsNoRequest(t *testing.T) {
	r := &request{}
	w := weak.Make(r)
	whole := strings.Repeat("header", 1000)
	d := &ReadDraft{
		RequestID: r.id[:], Principal: whole[:4], Read: &Read{Operation: "GetObject", Range: whole[4:8]}, Bucket: whole[:8], Key: whole[8:16],
		Client: &Client{Address: whole[:7], UserAgent: whole[:9]},
	}
	waiting, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r, d = nil, nil
	for limit := time.Now().Add(10 * time.Second); w.Value() != nil; runtime.GC() {
		if time.Now().After(limit) {
			t.Fatal("a record of", waiting.Bytes(), "bytes keeps its whole request")
		}
	}
	if unsafe.StringData(waiting.Principal) == unsafe.StringData(whole) {
		t.Fatal("the principal is a part of something longer")
	}
	runtime.KeepAlive(waiting)
}
