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
// Sequences are dense from the first on. Nothing follows the last frame. The highest bit of
// the length is set in the first frame of each batch but the first batch, which is made
// together with the file: where such a frame is whole, all batches before it were durable,
// and what is not whole of them is damage, not what a crash has torn.
const (
	tailMagic       = "IMLT"
	tailVersion     = 1
	tailHeaderBytes = 4 + 1 + 8 + 4
	tailBlock       = 4096
	tailFrameHeader = 4 + 4
	tailBatchBegins = 1 << 31 // in the length
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

// appendFrame appends a record's frame; flags are 0 or tailBatchBegins.
func appendFrame(b []byte, r *Record, flags uint32) ([]byte, error) {
	at := len(b)
	b = append(b, make([]byte, tailFrameHeader)...)
	b = appendRecord(b, r)
	n := len(b) - at - tailFrameHeader
	if n > maxTailRecord {
		return nil, fmt.Errorf("%w: sequence %d: %d bytes exceed %d", ErrRecord, r.Seq, n, maxTailRecord)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(n)|flags)
	binary.BigEndian.PutUint32(b[at+4:], frameSum(r.Seq, b[at:at+4], b[at+tailFrameHeader:]))
	return b, nil
}

// cutFrame splits the frame of a sequence off, and gives its length; false if it is not
// whole. What it gives aliases b.
func cutFrame(b []byte, seq uint64) (r Record, length int, ok bool) {
	if len(b) < tailFrameHeader {
		return r, 0, false
	}
	n := binary.BigEndian.Uint32(b) &^ tailBatchBegins
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

// decodedTail is what a tail's bytes are.
type decodedTail struct {
	first   uint64
	records []Record // whole ones, dense from first on
	rest    int      // bytes behind the last of them
	// behind are whole records in batches behind damage: in order, and with gaps.
	behind []Record
}

// decodeTail reads the whole records of a tail. Only a header that cannot be read, and a
// newer one, is an error.
func decodeTail(b []byte) (*decodedTail, error) {
	first, err := decodeTailHeader(b)
	if err != nil {
		return nil, err
	}
	t := &decodedTail{first: first}
	var end int
	t.records, end = cutFrames(b, tailHeaderBytes, first)
	t.rest = len(b) - end
	for seq := first + uint64(len(t.records)); ; {
		at, next, ok := findBatch(b, end, seq, first+BundleSize)
		if !ok {
			return t, nil
		}
		var more []Record
		more, end = cutFrames(b, at, next)
		t.behind = append(t.behind, more...)
		seq = next + uint64(len(more))
	}
}

// cutFrames splits whole frames off from a place on, the first of them that of a sequence,
// and tells where they end.
func cutFrames(b []byte, end int, seq uint64) (records []Record, at int) {
	for {
		r, n, ok := cutFrame(b[end:], seq)
		if !ok {
			// Perhaps the batch ends here, and another one begins.
			next := nextBatch(end)
			if next >= len(b) || !zeros(b[end:next]) {
				return records, end
			}
			if r, n, ok = cutFrame(b[next:], seq); !ok {
				return records, end
			}
			end = next
		}
		records, seq, end = append(records, r), seq+1, end+n
	}
}

// findBatch looks behind a place for the first whole frame of a batch, of a sequence from
// one to below another: its envelope says which.
func findBatch(b []byte, behind int, from, below uint64) (at int, seq uint64, ok bool) {
	for at := nextBatch(behind + 1); at+tailFrameHeader < len(b); at += tailBlock {
		n := binary.BigEndian.Uint32(b[at:])
		if n&tailBatchBegins == 0 {
			continue
		}
		if n &^= tailBatchBegins; n > maxTailRecord || int(n) > len(b)-at-tailFrameHeader {
			continue
		}
		envelope, _, err := cutEntry(b[at+tailFrameHeader:][:n])
		if err != nil {
			continue
		}
		env := &event.Envelope{}
		if event.Decode(envelope, env) != nil || env.Seq < from || env.Seq >= below {
			continue
		}
		if _, _, whole := cutFrame(b[at:], env.Seq); whole {
			return at, env.Seq, true
		}
	}
	return 0, 0, false
}

func zeros(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
