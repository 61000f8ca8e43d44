package event

import (
	"encoding/binary"
	"fmt"
)

// The data of a Raft entry that holds an event:
//
//	+---------+-------------------+----------------------+
//	| version | stamp             | proposal             |
//	| 1 byte  | 8 bytes, BE, ns   | marshalled Proposal  |
//	+---------+-------------------+----------------------+
//
// The stamp is the leader's clock when it appended the entry; apply makes it
// monotonic. The proposal's bytes are the proposer's, untouched.
const (
	entryVersion = 1
	entryHeader  = 9
)

// AppendEntry appends the entry of a proposal stamped at ns nanoseconds since
// the Unix epoch.
func AppendEntry(b []byte, ns int64, proposal []byte) []byte {
	b = append(b, entryVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(ns))
	return append(b, proposal...)
}

// ParseEntry splits an entry's data. The proposal aliases data.
func ParseEntry(data []byte) (stamp int64, proposal []byte, err error) {
	if len(data) < entryHeader {
		return 0, nil, fmt.Errorf("%w: entry of %d bytes", ErrMalformed, len(data))
	}
	if v := data[0]; v != entryVersion {
		if v > entryVersion {
			return 0, nil, fmt.Errorf("%w: entry version %d", ErrNewer, v)
		}
		return 0, nil, fmt.Errorf("%w: entry version %d", ErrMalformed, v)
	}
	return int64(binary.BigEndian.Uint64(data[1:entryHeader])), data[entryHeader:], nil
}
