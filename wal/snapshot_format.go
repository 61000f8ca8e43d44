package wal

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/raft"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// A snapshot is a directory INDEX-TERM (16 hexadecimal digits each) of two things:
// state/, a Pebble checkpoint, and META:
//
//	+----------+---------+-------+------+--------------+---------+---------------+--------+
//	| IMSNAPSH | version | index | term | config index | applied | configuration | CRC32C |
//	| 8 bytes  | 4       | 8     | 8    | 8            | 8       | 4 + n         | 4      |
//	+----------+---------+-------+------+--------------+---------+---------------+--------+
//
// Numbers are big-endian. applied is the index that the state holds: at least
// index. configuration is raft's own encoding, length first. The CRC covers all before it.
const (
	snapshotMagic   = "IMSNAPSH"
	snapshotVersion = 1
	snapshotFixed   = 8 + 4 + 8*4 + 4
	maxMetaBytes    = 1 << 20
)

type snapshotMeta struct {
	index, term, configIndex, applied uint64
	configuration                     []byte
}

func (m *snapshotMeta) name() string { return fmt.Sprintf("%016x-%016x", m.index, m.term) }

func (m *snapshotMeta) encode() []byte {
	b := append(make([]byte, 0, snapshotFixed+len(m.configuration)+4), snapshotMagic...)
	b = binary.BigEndian.AppendUint32(b, snapshotVersion)
	for _, n := range []uint64{m.index, m.term, m.configIndex, m.applied} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.configuration)))
	b = append(b, m.configuration...)
	return binary.BigEndian.AppendUint32(b, digest.CRC32C(b))
}

func decodeSnapshotMeta(b []byte) (*snapshotMeta, error) {
	if len(b) < 12 || string(b[:8]) != snapshotMagic {
		return nil, fmt.Errorf("snapshot META: %w", event.ErrMalformed)
	}
	if v := binary.BigEndian.Uint32(b[8:]); v > snapshotVersion {
		return nil, fmt.Errorf("snapshot META version %d: %w", v, event.ErrNewer)
	}
	if len(b) < snapshotFixed+4 || len(b) > maxMetaBytes {
		return nil, fmt.Errorf("snapshot META of %d bytes: %w", len(b), event.ErrMalformed)
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if digest.CRC32C(body) != sum || binary.BigEndian.Uint32(b[8:]) != snapshotVersion {
		return nil, fmt.Errorf("snapshot META checksum: %w", event.ErrMalformed)
	}
	if n := binary.BigEndian.Uint32(b[44:]); uint64(n) != uint64(len(body)-snapshotFixed) {
		return nil, fmt.Errorf("snapshot META configuration of %d bytes: %w", n, event.ErrMalformed)
	}
	return &snapshotMeta{
		index: binary.BigEndian.Uint64(b[12:]), term: binary.BigEndian.Uint64(b[20:]),
		configIndex: binary.BigEndian.Uint64(b[28:]), applied: binary.BigEndian.Uint64(b[36:]),
		configuration: append([]byte(nil), body[snapshotFixed:]...),
	}, nil
}

// raft gives the meta in raft's terms. DecodeConfiguration panics on bytes that
// EncodeConfiguration did not make: the CRC above vouches for them.
func (m *snapshotMeta) raft() *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: m.name(), Index: m.index, Term: m.term,
		Configuration: raft.DecodeConfiguration(m.configuration), ConfigurationIndex: m.configIndex,
	}
}
