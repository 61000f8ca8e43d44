package ledger

import (
	"encoding/binary"
	"fmt"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// A tail holds records behind an archive's whole bundles, in batches that were each made
// durable by one sync:
//
//	+---------+---------+-------------+-----------+
//	| "IMLT"  | version | first seq   | CRC32C of | batch, batch ...
//	| 4 bytes | 1 byte  | 8 bytes, BE | these, 4  |
//	+---------+---------+-------------+-----------+
//
// A batch begins at a multiple of 4096 bytes, so that a sector which is torn while it is
// written holds nothing that was made durable before; between batches are zeros. It is a
// row of frames:
//
//	+--------+-----------+--------------------------+
//	| length | CRC32C    | record, as in an extract |
//	| 4, BE  | 4, BE     |                          |
//	+--------+-----------+--------------------------+
//
// whose CRC32C is over the record's sequence (8 bytes, BE), the length and the record.
// Sequences are dense from the first on. Nothing follows the last frame.
const (
	tailMagic       = "IMLT"
	tailVersion     = 1
	tailHeaderBytes = 4 + 1 + 8 + 4
	tailBlock       = 4096
	tailFrameHeader = 4 + 4
	// maxTailRecord bounds one record, maxTailBytes what is read of a file.
	maxTailRecord = 4 << 20
	maxTailBytes  = 1 << 30
)

func encodeTailHeader(first uint64) []byte {
	b := make([]byte, 0, tailHeaderBytes)
	b = append(b, tailMagic...)
	b = append(b, tailVersion)
	b = binary.BigEndian.AppendUint64(b, first)
	return binary.BigEndian.AppendUint32(b, digest.CRC32C(b))
}

func decodeTailHeader(b []byte) (first uint64, err error) {
	if err := checkVersion(b, tailMagic, tailVersion); err != nil {
		return 0, fmt.Errorf("tail: %w", err)
	}
	if len(b) < tailHeaderBytes {
		return 0, fmt.Errorf("%w: tail header of %d bytes", event.ErrMalformed, len(b))
	}
	b = b[:tailHeaderBytes]
	if digest.CRC32C(b[:tailHeaderBytes-4]) != binary.BigEndian.Uint32(b[tailHeaderBytes-4:]) {
		return 0, fmt.Errorf("%w: tail header with a wrong checksum", event.ErrMalformed)
	}
	return binary.BigEndian.Uint64(b[5:]), nil
}

// appendFrame appends a record's frame.
func appendFrame(b []byte, r *Record) ([]byte, error) {
	at := len(b)
	b = append(b, make([]byte, tailFrameHeader)...)
	b = appendRecord(b, r)
	n := len(b) - at - tailFrameHeader
	if n > maxTailRecord {
		return nil, fmt.Errorf("%w: sequence %d: %d bytes exceed %d", ErrRecord, r.Seq, n, maxTailRecord)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(n))
	binary.BigEndian.PutUint32(b[at+4:], frameSum(r.Seq, b[at:at+4], b[at+tailFrameHeader:]))
	return b, nil
}

// cutFrame splits the frame of a sequence off, and gives its length; false if it is not
// whole. What it gives aliases b.
func cutFrame(b []byte, seq uint64) (r Record, length int, ok bool) {
	if len(b) < tailFrameHeader {
		return r, 0, false
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > maxTailRecord || uint64(n) > uint64(len(b)-tailFrameHeader) {
		return r, 0, false
	}
	body := b[tailFrameHeader:][:n:n]
	if frameSum(seq, b[:4], body) != binary.BigEndian.Uint32(b[4:]) {
		return r, 0, false
	}
	r.Seq = seq
	rest, err := cutRecord(body, &r)
	return r, tailFrameHeader + int(n), err == nil && len(rest) == 0
}

func frameSum(seq uint64, length, body []byte) uint32 {
	var place [8]byte
	binary.BigEndian.PutUint64(place[:], seq)
	return digest.CRC32C(place[:], length, body)
}

// nextBatch is where a batch may begin, at or behind a place.
func nextBatch(at int) int { return (at + tailBlock - 1) / tailBlock * tailBlock }

// decodeTail reads the whole records of a tail. What stands behind the last of them is
// rest bytes, of which none is part of a whole tail. Only a header that cannot be read, and
// a newer one, is an error.
func decodeTail(b []byte) (first uint64, records []Record, rest int, err error) {
	if first, err = decodeTailHeader(b); err != nil {
		return 0, nil, 0, err
	}
	end, seq := tailHeaderBytes, first
	for {
		r, n, ok := cutFrame(b[end:], seq)
		if !ok {
			// Perhaps the batch ends here, and another one begins.
			next := nextBatch(end)
			if next >= len(b) || !zeros(b[end:next]) {
				break
			}
			if r, n, ok = cutFrame(b[next:], seq); !ok {
				break
			}
			end = next
		}
		records, seq, end = append(records, r), seq+1, end+n
	}
	return first, records, len(b) - end, nil
}

func zeros(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
