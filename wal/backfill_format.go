package wal

import (
	"encoding/binary"
	"fmt"

	"ironman/wal/digest"
	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/merkle"
)

// A request for records of the ledger, from one node to another:
//
//	+---------+-------------+-------------+-------------+
//	| version | from        | size        | offset      |
//	| 1 byte  | 8 bytes, BE | 8 bytes, BE | 4 bytes, BE |
//	+---------+-------------+-------------+-------------+
//
// It asks for the extract (ledger.Extract) of records from sequence from on, proven
// to be in the tree of the first size sequences, or for the rest of that extract
// from offset on: one that holds a large record goes in several parts.
//
// The answer:
//
//	+---------+-------------+-------------+-------------+------+
//	| version | archived    | total       | CRC32C      | part |
//	| 1 byte  | 8 bytes, BE | 4 bytes, BE | 4 bytes, BE |      |
//	+---------+-------------+-------------+-------------+------+
//
// archived is the number of sequences in the archive of the node that answers.
// total and CRC32C are of the whole extract, so that parts of two, before and after
// an erasure, are not taken for one. A total of 0, with nothing behind it, says
// that the tree asked for is not archived there yet.
const (
	recordsVersion     = 1
	recordsRequestSize = 1 + 8 + 8 + 4
	recordsAnswerSize  = 1 + 8 + 4 + 4

	// partBytes is the length of every part but the last.
	partBytes = 1 << 20
)

// recordsRequest asks for a part of an extract.
type recordsRequest struct {
	from   uint64
	size   uint64 // of the tree; above from, a multiple of ledger.BundleSize
	offset uint32
}

// encodeRecordsRequest encodes a request that answerRecords answers.
func encodeRecordsRequest(r recordsRequest) []byte {
	b := append(make([]byte, 0, recordsRequestSize), recordsVersion)
	b = binary.BigEndian.AppendUint64(b, r.from)
	b = binary.BigEndian.AppendUint64(b, r.size)
	return binary.BigEndian.AppendUint32(b, r.offset)
}

// decodeRecordsRequest is the inverse of encodeRecordsRequest, strictly.
func decodeRecordsRequest(b []byte) (recordsRequest, error) {
	if err := checkRecordsVersion(b, recordsRequestSize); err != nil {
		return recordsRequest{}, fmt.Errorf("request for records: %w", err)
	}
	r := recordsRequest{
		from: binary.BigEndian.Uint64(b[1:]), size: binary.BigEndian.Uint64(b[9:]), offset: binary.BigEndian.Uint32(b[17:]),
	}
	if len(b) != recordsRequestSize || r.from >= r.size || r.size > merkle.MaxSize ||
		r.size%ledger.BundleSize != 0 || r.offset >= ledger.MaxExtractBytes {
		return recordsRequest{}, fmt.Errorf("%w: request of %d bytes for records from %d of %d, offset %d", event.ErrMalformed, len(b), r.from, r.size, r.offset)
	}
	return r, nil
}

// recordsAnswer is a part of an extract.
type recordsAnswer struct {
	archived uint64
	total    uint32
	sum      uint32
	part     []byte
}

func (a *recordsAnswer) encode() []byte {
	b := append(make([]byte, 0, recordsAnswerSize+len(a.part)), recordsVersion)
	b = binary.BigEndian.AppendUint64(b, a.archived)
	b = binary.BigEndian.AppendUint32(b, a.total)
	b = binary.BigEndian.AppendUint32(b, a.sum)
	return append(b, a.part...)
}

// partOf is the part of an encoded extract at an offset; empty if that is not
// within it (any more).
func partOf(extract []byte, offset uint32, archived uint64) *recordsAnswer {
	from := min(len(extract), int(offset))
	end := min(len(extract), from+partBytes)
	return &recordsAnswer{
		archived: archived, total: uint32(len(extract)), sum: digest.CRC32C(extract), part: extract[from:end],
	}
}

// decodeRecordsAnswer decodes an answer to a request at an offset, strictly. The
// part aliases b.
func decodeRecordsAnswer(b []byte, offset uint32) (*recordsAnswer, error) {
	if err := checkRecordsVersion(b, recordsAnswerSize); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	a := &recordsAnswer{
		archived: binary.BigEndian.Uint64(b[1:]), total: binary.BigEndian.Uint32(b[9:]),
		sum: binary.BigEndian.Uint32(b[13:]), part: b[recordsAnswerSize:],
	}
	want := 0
	switch {
	case a.total > ledger.MaxExtractBytes || a.total == 0 && a.sum != 0:
		want = -1
	case a.total > offset:
		want = int(min(a.total-offset, partBytes))
	}
	if len(a.part) != want {
		return nil, fmt.Errorf("%w: %d bytes of records at offset %d of %d", event.ErrMalformed, len(a.part), offset, a.total)
	}
	return a, nil
}

// checkRecordsVersion checks the version and that at least size bytes are there. A
// version above ours is event.ErrNewer, whatever follows it.
func checkRecordsVersion(b []byte, size int) error {
	switch {
	case len(b) > 0 && b[0] > recordsVersion:
		return fmt.Errorf("%w: version %d", event.ErrNewer, b[0])
	case len(b) < size || b[0] != recordsVersion:
		return fmt.Errorf("%w: %d bytes", event.ErrMalformed, len(b))
	}
	return nil
}
