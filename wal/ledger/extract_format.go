package ledger

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// An extract is sent from node to node; it is never on disk:
//
//	+---------+-----------+----------+----------------+-------------+--------+-----
//	| version | hashes of | proof,   | leaf hashes of | records     | record | ...
//	| 1 byte  | the proof | 32 bytes | the bundle,    | 2 bytes, BE |        |
//	|         | 1 byte    | each     | 256 * 32 bytes |             |        |
//	+---------+-----------+----------+----------------+-------------+--------+-----
//
//	record:  +-------------+----------+------------------------------------+
//	         | length      | envelope | payload, as in the plain bytes of  |
//	         | 2 bytes, BE |          | a block of a payload bundle        |
//	         +-------------+----------+------------------------------------+
//
// Nothing follows the last record. Which sequence the first record is of is not
// said: the reader knows for which one he asked.
const (
	extractVersion = 1
	// maxExtractProof is the longest proof in a tree of merkle.MaxSize leaves.
	maxExtractProof  = 64
	maxExtractHeader = 2 + (maxExtractProof+BundleSize)*tlog.HashSize + 2
	// MaxExtractBytes is the longest encoded extract: one record at the limits.
	MaxExtractBytes = maxExtractHeader + 2 + MaxEnvelopeBytes + maxPayloadBytes
)

// Encode encodes an extract.
func (x *Extract) Encode() []byte {
	n := x.headerBytes()
	for i := range x.Records {
		n += x.Records[i].Bytes()
	}
	b := make([]byte, 0, n)
	b = append(b, extractVersion, byte(len(x.Proof)))
	for i := range x.Proof {
		b = append(b, x.Proof[i][:]...)
	}
	for i := range x.Leaves {
		b = append(b, x.Leaves[i][:]...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(x.Records)))
	for i := range x.Records {
		b = appendRecord(b, &x.Records[i])
	}
	return b
}

// headerBytes is the encoded length of what stands before the records.
func (x *Extract) headerBytes() int { return 2 + (len(x.Proof)+BundleSize)*tlog.HashSize + 2 }

// DecodeExtract decodes an extract of records from sequence from on, strictly. The
// records alias b. It believes nothing: see Check.
func DecodeExtract(from uint64, b []byte) (*Extract, error) {
	bad := func(what string) (*Extract, error) {
		return nil, fmt.Errorf("%w: extract %s", event.ErrMalformed, what)
	}
	switch {
	case len(b) == 0 || len(b) > MaxExtractBytes || b[0] < extractVersion:
		return bad(fmt.Sprintf("of %d bytes", len(b)))
	case b[0] > extractVersion:
		return nil, fmt.Errorf("%w: extract of version %d", event.ErrNewer, b[0])
	}
	c := cursor{b: b[1:]}
	proof := int(c.take(1)[0])
	if proof > maxExtractProof || len(c.b) < (proof+BundleSize)*tlog.HashSize+2 {
		return bad("ends in its hashes")
	}
	x := &Extract{From: from, Proof: unpackHashes(c.take(proof * tlog.HashSize))}
	copy(x.Leaves[:], unpackHashes(c.take(BundleSize*tlog.HashSize)))
	count := int(binary.BigEndian.Uint16(c.take(2)))
	if _, i := bundleOf(from); count == 0 || count > BundleSize-i {
		return bad(fmt.Sprintf("of %d records from sequence %d", count, from))
	}
	x.Records = make([]Record, count)
	rest := c.b
	for i := range x.Records {
		r := &x.Records[i]
		r.Seq = from + uint64(i)
		var err error
		if rest, err = cutRecord(rest, r); err != nil {
			return nil, fmt.Errorf("sequence %d: %w", r.Seq, err)
		}
	}
	if len(rest) != 0 {
		return bad(fmt.Sprintf("with %d bytes behind its records", len(rest)))
	}
	return x, nil
}

// appendRecord appends a record as extracts have it.
func appendRecord(b []byte, r *Record) []byte {
	return appendPayload(appendEntry(b, r.Envelope), &r.Payload)
}

// cutRecord splits the first record off; its sequence is for the caller to know. It
// aliases b.
func cutRecord(b []byte, r *Record) (rest []byte, err error) {
	if r.Envelope, rest, err = cutEntry(b); err == nil {
		r.Payload, rest, err = cutPayload(rest)
	}
	return rest, err
}
