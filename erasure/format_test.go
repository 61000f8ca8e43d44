package erasure

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s\nwant:\n%s", name, got, want)
	}
}

// dump writes b in lines of 32 bytes; runs of zeros are told by their length.
func dump(b []byte) string {
	var out strings.Builder
	for at := 0; at < len(b); {
		n := 0
		for at+n < len(b) && b[at+n] == 0 {
			n++
		}
		if n >= 64 {
			n &^= 31
			out.WriteString("zeros " + hex.EncodeToString(binary.BigEndian.AppendUint32(nil, uint32(n))) + "\n")
			at += n
			continue
		}
		end := min(at+32, len(b))
		out.WriteString(hex.EncodeToString(b[at:end]) + "\n")
		at = end
	}
	return out.String()
}

// The bytes of packs are for ever. A pack of copies, one of coded shards, and one
// of a streamed shard of unknown length.
func TestGoldenPacks(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 3)
	r.o.Policy = Policy{Cell: 128, SmallBlob: 16}
	r.o.LargeShard = 512
	r.open()
	defer r.s.Close()
	small := r.put([]byte("a small blob"))
	coded := r.put([]byte("a blob that is coded in two data cells and one of parity"))
	body := bytes.Repeat([]byte("0123456789abcdef"), 80)
	long, err := r.s.Put(t.Context(), bytes.NewReader(body), -1, PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "pack-copies.hex", dump(r.file(r.shardPath(small, 0))))
	golden(t, "pack-coded.hex", dump(r.file(r.shardPath(coded, 0))))
	golden(t, "pack-streamed.hex", dump(r.file(r.shardPath(long, 1))))
	golden(t, "identity", string(r.file("d2/identity")))
}

// The matrix of the code is part of the format.
func TestGoldenParity(t *testing.T) {
	var out strings.Builder
	for _, g := range []Geometry{{K: 1, M: 1}, {K: 2, M: 1}, {K: 2, M: 2}, {K: 4, M: 2}, {K: 5, M: 3}, {K: 8, M: 4}} {
		bodies := make([][]byte, g.K+g.M)
		for i := range bodies {
			bodies[i] = bytes.Repeat([]byte{byte(3*i + 1)}, 8)
			bodies[i][i%8] = 0xee
		}
		var c coder
		if err := c.encode(int(g.K), bodies); err != nil {
			t.Fatal(err)
		}
		for _, b := range bodies[g.K:] {
			out.WriteString(hex.EncodeToString(b) + "\n")
		}
	}
	golden(t, "parity.hex", out.String())
}

func samplePack() ([]byte, packHeader) {
	h := packHeader{cluster: testCluster, disk: diskID(1), pack: PackKey{7, 9}, size: 1 << 20}
	b := make([]byte, packHeaderBytes)
	encodePackHeader(b, h)
	return b, h
}

func sampleShard() (ShardSpec, origin) {
	return ShardSpec{Blob: BlobKey{3, 4}, Size: 1000, Cell: 256, Generation: 1, K: 2, M: 1, Index: 1},
		origin{cluster: testCluster, disk: diskID(1), pack: PackKey{7, 9}, offset: 8192}
}

// newer turns an encoding into that of the next version, which may mean anything
// behind the preamble.
func newer(b []byte) []byte {
	b = bytes.Clone(b)
	binary.BigEndian.PutUint16(b[8:], binary.BigEndian.Uint16(b[8:])+1)
	binary.BigEndian.PutUint32(b[12:], digest.CRC32C(b[:12]))
	for i := 16; i < len(b); i++ {
		b[i] ^= 0x55
	}
	return b
}

func TestNewerVersions(t *testing.T) {
	pack, _ := samplePack()
	if _, err := decodePackHeader(newer(pack)); !errors.Is(err, ErrNewer) || errors.Is(err, ErrCorrupt) {
		t.Errorf("pack: %v", err)
	}
	s, o := sampleShard()
	shard := make([]byte, shardHeaderBytes)
	encodeShard(shard, &s, &o)
	if _, err := decodeShard(newer(shard), &o); !errors.Is(err, ErrNewer) || errors.Is(err, ErrCorrupt) {
		t.Errorf("shard: %v", err)
	}
	if _, err := decodeIdentity([]byte("ironman disk 2\nanything\n")); !errors.Is(err, ErrNewer) {
		t.Errorf("identity: %v", err)
	}
	// A newer shard is not damage, and is not reported.
	r := newRig(t, vfs.NewMem(), 2).open()
	defer r.s.Close()
	b := r.put([]byte("blob"))
	path, at := r.shardPath(b, 0), b.Shards[0].Offset
	r.rewrite(path, at, newer(r.file(path)[at:at+shardHeaderBytes+cellHeaderBytes+4]))
	d, err := r.s.Verify(t.Context(), b)
	if err != nil || len(d) != 1 || d[0].Reason != ReasonNewer {
		t.Errorf("verify: %v, %v", d, err)
	}
	r.check(b, []byte("blob"))
}

// Each bit of an encoding counts.
func TestEveryBitCounts(t *testing.T) {
	pack, _ := samplePack()
	s, o := sampleShard()
	shard := make([]byte, shardHeaderBytes)
	encodeShard(shard, &s, &o)
	body := bytesOf(1, 256)
	c := Cell{Stripe: 1, Plain: 488, CRC: digest.CRC32C(body), Digest: [16]byte{1, 2, 3}, Body: body}
	cell := append(make([]byte, cellHeaderBytes), body...)
	encodeCell(cell, &s, &o, 9000, &c)
	foot := make([]byte, footerBytes)
	encodeFooter(foot, &s, &o, 9500, 2, 1000)
	for _, f := range []struct {
		name string
		b    []byte
		ok   func([]byte) bool
	}{
		{"pack", pack, func(b []byte) bool { _, err := decodePackHeader(b); return err == nil }},
		{"shard", shard, func(b []byte) bool { _, err := decodeShard(b, &o); return err == nil }},
		{"cell", cell, func(b []byte) bool {
			return checkCell(b, &s, &o, 9000, &Cell{Stripe: 1, Plain: 488, Body: b[cellHeaderBytes:]}) == nil
		}},
		{"footer", foot, func(b []byte) bool {
			n, size, ok := decodeFooter(b, &s, &o, 9500)
			return ok && n == 2 && size == 1000
		}},
		{"identity", encodeIdentity(Identity{testCluster, diskID(1), 1, 2, 3}), func(b []byte) bool {
			_, err := decodeIdentity(b)
			return err == nil
		}},
	} {
		if !f.ok(f.b) {
			t.Errorf("%s: not accepted as it is", f.name)
		}
		for i := range 8 * len(f.b) {
			b := bytes.Clone(f.b)
			b[i/8] ^= 1 << (i % 8)
			if f.ok(b) {
				t.Errorf("%s: bit %d may flip", f.name, i)
			}
		}
	}
}

// A checksum is bound to each field of the identity: the same bytes are refused
// for anything else.
func TestBinding(t *testing.T) {
	s, o := sampleShard()
	body := bytesOf(1, 256)
	c := Cell{Stripe: 1, Plain: 488, CRC: digest.CRC32C(body), Digest: digest.XXH3(body), Body: body}
	cell := append(make([]byte, cellHeaderBytes), body...)
	shard := make([]byte, shardHeaderBytes)
	foot := make([]byte, footerBytes)
	encodeCell(cell, &s, &o, 9000, &c)
	encodeShard(shard, &s, &o)
	encodeFooter(foot, &s, &o, 9500, 2, 1000)
	for name, change := range map[string]func(s *ShardSpec, o *origin, c *Cell, at *uint64){
		"cluster":      func(s *ShardSpec, o *origin, c *Cell, at *uint64) { o.cluster[3]++ },
		"disk":         func(s *ShardSpec, o *origin, c *Cell, at *uint64) { o.disk[15]++ },
		"pack":         func(s *ShardSpec, o *origin, c *Cell, at *uint64) { o.pack.Counter++ },
		"incarnation":  func(s *ShardSpec, o *origin, c *Cell, at *uint64) { o.pack.Incarnation++ },
		"offset":       func(s *ShardSpec, o *origin, c *Cell, at *uint64) { *at += 4096; o.offset += 4096 },
		"blob":         func(s *ShardSpec, o *origin, c *Cell, at *uint64) { s.Blob.Counter++ },
		"blob's start": func(s *ShardSpec, o *origin, c *Cell, at *uint64) { s.Blob.Incarnation++ },
		"index":        func(s *ShardSpec, o *origin, c *Cell, at *uint64) { s.Index++ },
		"k":            func(s *ShardSpec, o *origin, c *Cell, at *uint64) { s.K++ },
		"m":            func(s *ShardSpec, o *origin, c *Cell, at *uint64) { s.M++ },
		"generation":   func(s *ShardSpec, o *origin, c *Cell, at *uint64) { s.Generation++ },
		"stripe":       func(s *ShardSpec, o *origin, c *Cell, at *uint64) { c.Stripe++ },
		"plain length": func(s *ShardSpec, o *origin, c *Cell, at *uint64) { c.Plain++ },
		"length":       func(s *ShardSpec, o *origin, c *Cell, at *uint64) { c.Body = c.Body[:255] },
	} {
		s, o, at := s, o, uint64(9000)
		c := Cell{Stripe: 1, Plain: 488, Body: body}
		change(&s, &o, &c, &at)
		if err := checkCell(cell, &s, &o, at, &c); err == nil {
			t.Errorf("a cell is taken for one of another %s", name)
		}
		if name == "stripe" || name == "plain length" || name == "length" {
			continue // not of the shard
		}
		got, err := decodeShard(shard, &o)
		if err == nil && got == s {
			t.Errorf("a shard is taken for one of another %s", name)
		}
		if _, _, ok := decodeFooter(foot, &s, &o, 9500+at-9000); ok {
			t.Errorf("a footer is taken for one of another %s", name)
		}
	}
}

func TestFormatDisk(t *testing.T) {
	fs := vfs.NewMem()
	id := Identity{Cluster: testCluster, Disk: diskID(1), Node: 1, Slot: 2, Number: 3}
	if _, err := ReadIdentity(fs, "d"); !errors.Is(err, ErrNoIdentity) {
		t.Fatalf("no directory: %v", err)
	}
	for _, bad := range []Identity{{}, {Cluster: testCluster, Disk: diskID(1)}, {Cluster: testCluster, Number: 1}} {
		if err := Format(fs, "d", bad); !errors.Is(err, ErrInvalid) {
			t.Fatalf("%+v: %v", bad, err)
		}
	}
	for range 2 { // the second time nothing is left to do
		if err := Format(fs, "d", id); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadIdentity(fs, "d"); err != nil || got != id {
		t.Fatalf("%+v, %v", got, err)
	}
	other := id
	other.Disk = diskID(2)
	if err := Format(fs, "d", other); !errors.Is(err, ErrFormatted) {
		t.Fatalf("over another: %v", err)
	}
	// An identity file that was lost is not made anew over packs.
	f, err := fs.Create("d/packs/0000000000000001-00000001.pack", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := fs.Remove("d/identity"); err != nil {
		t.Fatal(err)
	}
	if err := Format(fs, "d", id); !errors.Is(err, ErrFormatted) {
		t.Fatalf("over packs: %v", err)
	}
}

func TestPackNames(t *testing.T) {
	for _, k := range []PackKey{{1, 1}, {1 << 63, 1 << 33}} {
		if got, ok := parsePackName(k.String() + packExt); !ok || got != k {
			t.Errorf("%v: %v, %v", k, got, ok)
		}
	}
	for _, name := range []string{
		"", "x", ".pack", "0000000000000001-00000001", "0000000000000001-1.pack", "0000000000000001-000000001.pack",
		"000000000000000A-00000001.pack", "0000000000000001_00000001.pack", "+000000000000001-00000001.pack",
		"0000000000000001-00000001.pack.tmp",
	} {
		if k, ok := parsePackName(name); ok {
			t.Errorf("%q is %v", name, k)
		}
	}
}
