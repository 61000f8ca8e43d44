package wal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

func TestRecordsFormat(t *testing.T) {
	r := recordsRequest{from: 0x102, size: 0x10300, offset: 0x100000}
	b := encodeRecordsRequest(r)
	if got := hex.EncodeToString(b); got != "010000000000000102000000000001030000100000" {
		t.Errorf("request %s", got)
	}
	if back, err := decodeRecordsRequest(b); err != nil || back != r {
		t.Errorf("%+v, %v", back, err)
	}
	a := partOf([]byte("extract"), 0, 0x10300)
	b = a.encode()
	if got := hex.EncodeToString(b); got != "01000000000001030000000007f2cc1c80"+hex.EncodeToString([]byte("extract")) {
		t.Errorf("answer %s", got)
	}
	back, err := decodeRecordsAnswer(b, 0)
	if err != nil || back.archived != a.archived || back.total != 7 || back.sum != a.sum || string(back.part) != "extract" {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestRecordsParts(t *testing.T) {
	extract := make([]byte, 2*partBytes+5)
	extract[partBytes] = 1
	var whole []byte
	for len(whole) < len(extract) {
		a, err := decodeRecordsAnswer(partOf(extract, uint32(len(whole)), 9).encode(), uint32(len(whole)))
		if err != nil || int(a.total) != len(extract) {
			t.Fatalf("%v, total %d", err, a.total)
		}
		whole = append(whole, a.part...)
	}
	if !bytes.Equal(whole, extract) {
		t.Fatal("the parts are another extract")
	}
	if a, err := decodeRecordsAnswer(partOf(extract[:3], partBytes, 9).encode(), partBytes); err != nil || len(a.part) != 0 {
		t.Fatalf("beyond an extract that became shorter: %v", err)
	}
}

func TestRecordsFormatRefuses(t *testing.T) {
	request := func(from, size uint64, offset uint32) []byte {
		return encodeRecordsRequest(recordsRequest{from: from, size: size, offset: offset})
	}
	good := request(0, 256, 0)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing": {nil, event.ErrMalformed}, "cut": {good[:20], event.ErrMalformed}, "longer": {append(good, 0), event.ErrMalformed},
		"version 0": {append([]byte{0}, good[1:21]...), event.ErrMalformed}, "the next version": {[]byte{2}, event.ErrNewer},
		"behind the tree": {request(256, 256, 0), event.ErrMalformed}, "no tree": {request(0, 0, 0), event.ErrMalformed},
		"a tree of no whole bundle": {request(0, 300, 0), event.ErrMalformed}, "a tree too large": {request(0, 1<<63, 0), event.ErrMalformed},
		"an offset too large": {request(0, 256, ledger.MaxExtractBytes), event.ErrMalformed},
	} {
		if _, err := decodeRecordsRequest(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	answer := func(total, sum uint32, part int) []byte {
		return (&recordsAnswer{archived: 5, total: total, sum: sum, part: make([]byte, part)}).encode()
	}
	for name, c := range map[string]struct {
		b      []byte
		offset uint32
		want   error
	}{
		"nothing": {nil, 0, event.ErrMalformed}, "cut": {answer(0, 0, 0)[:16], 0, event.ErrMalformed},
		"the next version": {[]byte{2}, 0, event.ErrNewer}, "version 0": {append([]byte{0}, answer(0, 0, 0)[1:]...), 0, event.ErrMalformed},
		"bytes of nothing": {answer(0, 0, 1), 0, event.ErrMalformed}, "a sum of nothing": {answer(0, 7, 0), 0, event.ErrMalformed},
		"a short part": {answer(2*partBytes, 7, 10), 0, event.ErrMalformed}, "no part": {answer(9, 7, 0), 0, event.ErrMalformed},
		"a long part": {answer(partBytes+9, 7, 10), partBytes, event.ErrMalformed}, "a part from behind": {answer(9, 7, 1), 9, event.ErrMalformed},
		"too large": {answer(ledger.MaxExtractBytes+1, 7, partBytes), 0, event.ErrMalformed},
	} {
		if _, err := decodeRecordsAnswer(c.b, c.offset); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{"nothing": nil, "a newer request": {2}} {
		if _, err := (&Node{}).answerRecords(b); err == nil {
			t.Errorf("%s is answered", name)
		}
	}
}

func FuzzRecordsRequest(f *testing.F) {
	f.Add(encodeRecordsRequest(recordsRequest{from: 1, size: 256}))
	f.Add(encodeRecordsRequest(recordsRequest{from: 300, size: 512, offset: partBytes}))
	f.Add([]byte{2})
	node := newPeer(f, newHistory(f, "fuzz", 300), 256).node
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecordsRequest(b)
		if err != nil {
			return
		}
		if !bytes.Equal(encodeRecordsRequest(r), b) {
			t.Fatal("not what was decoded")
		}
		answer, err := node.answerRecords(b)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := decodeRecordsAnswer(answer, r.offset); err != nil || (a.total > 0) != (r.size <= 256) {
			t.Fatalf("%+v, %v", a, err)
		}
	})
}

func FuzzRecordsAnswer(f *testing.F) {
	f.Add(partOf([]byte("extract"), 0, 256).encode(), uint32(0))
	f.Add(partOf(make([]byte, partBytes+1), partBytes, 256).encode(), uint32(partBytes))
	f.Add((&recordsAnswer{archived: 3}).encode(), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, offset uint32) {
		a, err := decodeRecordsAnswer(b, offset)
		if err == nil && !bytes.Equal(a.encode(), b) {
			t.Fatal("not what was decoded")
		}
	})
}
