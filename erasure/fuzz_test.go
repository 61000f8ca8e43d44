package erasure

import (
	"bytes"
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
)

func FuzzPackHeader(f *testing.F) {
	b, _ := samplePack()
	f.Add(b)
	f.Add(newer(b))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodePackHeader(b)
		if err != nil {
			return
		}
		again := make([]byte, packHeaderBytes)
		encodePackHeader(again, h)
		if !bytes.Equal(again, b[:packHeaderBytes]) {
			t.Errorf("%+v is encoded in two ways", h)
		}
	})
}

func FuzzShardHeader(f *testing.F) {
	s, o := sampleShard()
	b := make([]byte, shardHeaderBytes)
	encodeShard(b, &s, &o)
	f.Add(b)
	f.Add(newer(b))
	s.Size = UnknownSize
	encodeShard(b, &s, &o)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		// As one who knows the format would: with the checksums that belong.
		if len(b) >= shardHeaderBytes {
			preamble(b, shardMagic, shardVersion)
			copy(b[64:120], again(&s, &o)[64:120])
			putSum(b)
		}
		got, err := decodeShard(b, &o)
		if err != nil {
			return
		}
		if l := got.layout(); got.Size != UnknownSize && l.ShardLength() < shardHeaderBytes {
			t.Errorf("%+v", got)
		}
		if !bytes.Equal(again(&got, &o), b[:shardHeaderBytes]) {
			t.Errorf("%+v is encoded in two ways", got)
		}
	})
}

func again(s *ShardSpec, o *origin) []byte {
	b := make([]byte, shardHeaderBytes)
	encodeShard(b, s, o)
	return b
}

// putSum puts the checksum of a shard's header right.
func putSum(b []byte) {
	sum := digest.CRC32C(b[:124])
	b[124], b[125], b[126], b[127] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
}

func FuzzCell(f *testing.F) {
	s, o := sampleShard()
	body := []byte("body of a cell")
	c := Cell{Stripe: 3, Plain: 28, Body: body, CRC: digest.CRC32C(body), Digest: digest.XXH3(body)}
	b := append(make([]byte, cellHeaderBytes), body...)
	encodeCell(b, &s, &o, 9000, &c)
	f.Add(b)
	foot := make([]byte, footerBytes)
	encodeFooter(foot, &s, &o, 9000, 4, 28)
	f.Add(foot)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < cellHeaderBytes {
			return
		}
		got := Cell{Stripe: 3, Plain: 28, Body: in[cellHeaderBytes:]}
		if checkCell(in, &s, &o, 9000, &got) == nil {
			if len(got.Body) != len(body) && digest.CRC32C(got.Body) != got.CRC {
				t.Errorf("%+v", got)
			}
		}
		decodeFooter(in, &s, &o, 9000)
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add(encodeIdentity(Identity{testCluster, diskID(1), 1, 2, 3}))
	f.Add([]byte("ironman disk 2\n"))
	f.Add([]byte("ironman disk 1\ncluster \ndisk \nnode \nslot \nnumber \ncrc32c \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := decodeIdentity(b); err == nil && !bytes.Equal(encodeIdentity(id), b) {
			t.Errorf("%+v is encoded in two ways", id)
		}
	})
}

// FuzzScan scans a pack whose tail is anything, behind a record that is intact.
func FuzzScan(f *testing.F) {
	s, o := sampleShard()
	s.Size, s.Index = 10, 0
	l := s.layout()
	body := bytesOf(1, int(l.CellLength(0)))
	c := Cell{Plain: 10, Body: body, CRC: digest.CRC32C(body)}
	o.offset = packHeaderBytes
	record := appendRecord(nil, &appendRequest{spec: s, cells: []Cell{c}}, &o)
	f.Add([]byte{})
	f.Add(bytes.Clone(record))
	unknown := s
	unknown.Size = UnknownSize
	o2 := o
	o2.offset += uint64(len(record))
	f.Add(appendRecord(nil, &appendRequest{spec: unknown, cells: []Cell{c}}, &o2))
	huge := s
	huge.Size, huge.Cell, huge.K, huge.M = 1<<40, MaxCell, 1, 0
	f.Add(again(&huge, &o2))
	tiny := s
	tiny.Size, tiny.Cell, tiny.K, tiny.M = 1<<31, 1, 1, 0
	f.Add(append(again(&tiny, &o2), make([]byte, 5000)...))
	f.Fuzz(func(t *testing.T, tail []byte) {
		head, h := samplePack()
		pack := append(append(head, record...), tail...)
		found := 0
		sc := &scanner{
			ctx: context.Background(), r: vfs.NewMemFile(pack), size: uint64(len(pack)),
			origin: origin{cluster: h.cluster, disk: h.disk, pack: h.pack},
			fn: func(rec Record) error {
				if rec.Err == nil {
					if found++; rec.Offset+rec.Length > uint64(len(pack)) {
						t.Errorf("%+v reaches beyond the pack", rec)
					}
				}
				return nil
			},
		}
		if err := sc.run(); err != nil {
			t.Error(err)
		}
		if found == 0 {
			t.Error("the intact record is not found")
		}
	})
}
