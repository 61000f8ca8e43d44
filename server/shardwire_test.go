package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/server/link"
	"ironman/wal/event"
)

func wireShard() (erasure.ShardSpec, []erasure.Cell) {
	spec := erasure.ShardSpec{
		Blob: erasure.BlobKey{Incarnation: 0x0102, Counter: 0x0304}, Size: 11, Cell: 4096, Generation: 1, K: 4, M: 2, Index: 5,
	}
	return spec, []erasure.Cell{
		{Stripe: 0, Plain: 9, Digest: [16]byte{0xd0}, CRC: 0xc0, Body: []byte("abc")},
		{Stripe: 1, Plain: 2, Digest: [16]byte{0xd1}, CRC: 0xc1, Body: []byte("z")},
	}
}

func wireAppend(disk uint32, s *erasure.ShardSpec, cells []erasure.Cell) []byte {
	b := appendHead(disk, s, cells)
	for i := range cells {
		b = append(b, cells[i].Body...)
	}
	return b
}

// goldenShard pins the bytes that nodes of different releases exchange.
const goldenShard = "01" + "00000007" + "0000000000000102" + "0000000000000304" + "000000000000000b" + "00001000" + "00000001" + "040205" +
	"00000002" +
	"00000000" + "00000009" + "000000c0" + "00000003" + "d0000000000000000000000000000000" +
	"00000001" + "00000002" + "000000c1" + "00000001" + "d1000000000000000000000000000000" +
	"616263" + "7a"

func TestShardWire(t *testing.T) {
	spec, cells := wireShard()
	b := wireAppend(7, &spec, cells)
	if hex.EncodeToString(b) != goldenShard {
		t.Errorf("the bytes are now %x", b)
	}
	disk, gotSpec, gotCells, err := parseAppend(b)
	if err != nil || disk != 7 || gotSpec != spec || !reflect.DeepEqual(gotCells, cells) {
		t.Errorf("%d %v %v %v", disk, gotSpec, gotCells, err)
	}
	for i := range b {
		if _, _, _, err := parseAppend(b[:i]); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%d bytes of %d: %v", i, len(b), err)
		}
	}
	if _, _, _, err := parseAppend(append(b, 0)); !errors.Is(err, event.ErrMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
	next := bytes.Clone(b)
	next[0]++
	if _, _, _, err := parseAppend(next); !errors.Is(err, event.ErrNewer) {
		t.Errorf("the next version: %v", err)
	}
	p := erasure.Place{Pack: erasure.PackKey{Incarnation: 1, Counter: 2}, Offset: 3}
	if got, err := parsePlace(appendPlace(nil, p)); err != nil || got != p {
		t.Errorf("%v, %v", got, err)
	}
	if disk, got, n, err := parseRead(appendRead(9, p, 4096)); err != nil || disk != 9 || got != p || n != 4096 {
		t.Errorf("%d %v %d %v", disk, got, n, err)
	}
	for _, n := range []int{0, maxReadBytes + 1} {
		if _, _, _, err := parseRead(appendRead(9, p, n)); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("a read of %d bytes: %v", n, err)
		}
	}
}

// FuzzShardWire: what another node sends never panics, and what is taken is what was
// meant.
func FuzzShardWire(f *testing.F) {
	spec, cells := wireShard()
	f.Add(wireAppend(7, &spec, cells))
	f.Add(appendRead(1, erasure.Place{}, 1))
	f.Add(appendMilestone(nil, fsm.Milestone{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if disk, s, cells, err := parseAppend(b); err == nil && !bytes.Equal(wireAppend(disk, &s, cells), b) {
			t.Error("another shard was read than was written")
		}
		if disk, p, n, err := parseRead(b); err == nil && !bytes.Equal(appendRead(disk, p, int(n)), b) {
			t.Error("another read was read than was written")
		}
		if p, err := parsePlace(b); err == nil && !bytes.Equal(appendPlace(nil, p), b) {
			t.Error("another place was read than was written")
		}
		_, _ = parseMilestones(b, 3)
		_, _ = parseMembers(b)
		_ = strictJSON(b, &joinRequest{})
		_ = strictJSON(b, &joinAnswer{})
	})
}

// TestShardErrors: what a disk says arrives as what it was.
func TestShardErrors(t *testing.T) {
	for _, c := range shardCodes() {
		if got := shardError(shardAnswer(c.err)); !errors.Is(got, c.err) {
			t.Errorf("%v arrives as %v", c.err, got)
		}
	}
	if err := shardError(errors.New("the link broke")); !errors.Is(err, erasure.ErrUnavailable) {
		t.Error(err)
	}
	starting := fmt.Errorf("node 2 says: %w", &link.Error{Code: codeNotServing})
	if err := shardError(starting); !errors.Is(err, erasure.ErrUnavailable) || !errors.Is(err, erasure.ErrNotServing) {
		t.Errorf("a node that starts is %v", err)
	}
	if shardError(nil) != nil || shardAnswer(nil) != nil {
		t.Error("no error is one")
	}
}
