package ledger

import (
	"encoding/binary"
	"fmt"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// A payload bundle holds the payloads of the sequences of one entry bundle, in
// blocks of consecutive entries that are compressed together:
//
//	+---------+---------+-------------+------------+-----------+
//	| "IMLP"  | version | first seq   | entries    | CRC32C of | block, block ...
//	| 4 bytes | 1 byte  | 8 bytes, BE | 2 bytes,BE | these, 4  |
//	+---------+---------+-------------+------------+-----------+
//
// A block, closed when its plain bytes reach 256 KiB or the bundle ends:
//
//	+------------+-------------+-------------+-----------+------------+
//	| entries    | plain bytes | frame bytes | CRC32C    | zstd frame |
//	| 2 bytes,BE | 4 bytes, BE | 4 bytes, BE | 4, BE     |            |
//	+------------+-------------+-------------+-----------+------------+
//
// whose CRC32C is over the sequence of its first entry (8 bytes, BE), the three
// numbers and the frame, so that a block does not pass for another. Its plain
// bytes are its entries:
//
//	+--------+-----------+------------+------+-----+--------+---------+
//	| length | statement | items      | item | ... | length | outcome |
//	| 4, BE  |           | 2 bytes,BE |      |     | 4, BE  |         |
//	+--------+-----------+------------+------+-----+--------+---------+
//
//	item:    +---+--------+-------+      erased: +---+------------+
//	         | 1 | length | bytes |              | 0 | salted     |
//	         |   | 4, BE  |       |              |   | hash, 32   |
//	         +---+--------+-------+              +---+------------+
//
// An item is erased by writing the bundle anew with its hash in its place:
// envelopes commit to items by these hashes, so no proof changes.
const (
	payloadMagic       = "IMLP"
	payloadVersion     = 1
	payloadHeaderBytes = 4 + 1 + 8 + 2 + 4
	blockHeaderBytes   = 2 + 4 + 4 + 4

	// blockTarget closes a block.
	blockTarget = 256 << 10
	// maxPayloadBytes is the longest plain form of one payload within the limits.
	maxPayloadBytes = 4 + MaxProposalBytes + 2 + event.MaxItems*(1+digest.SHA256Size+4) + 4 + MaxOutcomeBytes
	maxBlockPlain   = blockTarget + maxPayloadBytes
	// maxBlockFrame leaves room for what zstd adds to bytes it cannot compress.
	maxBlockFrame = maxBlockPlain + maxBlockPlain/256 + 64

	itemErased  = 0
	itemPresent = 1
)

// encodePayloadHeader encodes the header of a bundle.
func encodePayloadHeader(first uint64, entries int) []byte {
	b := make([]byte, 0, payloadHeaderBytes)
	b = append(b, payloadMagic...)
	b = append(b, payloadVersion)
	b = binary.BigEndian.AppendUint64(b, first)
	b = binary.BigEndian.AppendUint16(b, uint16(entries))
	return binary.BigEndian.AppendUint32(b, digest.CRC32C(b))
}

// decodePayloadHeader is the inverse of encodePayloadHeader.
func decodePayloadHeader(b []byte) (first uint64, entries int, err error) {
	if err := checkVersion(b, payloadMagic, payloadVersion); err != nil {
		return 0, 0, fmt.Errorf("payload bundle: %w", err)
	}
	if len(b) != payloadHeaderBytes {
		return 0, 0, fmt.Errorf("%w: payload header of %d bytes", event.ErrMalformed, len(b))
	}
	body, sum := b[:payloadHeaderBytes-4], binary.BigEndian.Uint32(b[payloadHeaderBytes-4:])
	if digest.CRC32C(body) != sum {
		return 0, 0, fmt.Errorf("%w: payload header with a wrong checksum", event.ErrMalformed)
	}
	entries = int(binary.BigEndian.Uint16(b[13:]))
	if entries == 0 || entries > BundleSize {
		return 0, 0, fmt.Errorf("%w: payload bundle of %d entries", event.ErrMalformed, entries)
	}
	return binary.BigEndian.Uint64(b[5:]), entries, nil
}

// block is the header of a block.
type block struct {
	entries int
	plain   int    // bytes
	frame   int    // bytes
	sum     uint32 // CRC32C
}

// encodeBlock encodes the header of a block whose first entry is seq.
func encodeBlock(seq uint64, entries, plain int, frame []byte) []byte {
	b := make([]byte, 0, blockHeaderBytes)
	b = binary.BigEndian.AppendUint16(b, uint16(entries))
	b = binary.BigEndian.AppendUint32(b, uint32(plain))
	b = binary.BigEndian.AppendUint32(b, uint32(len(frame)))
	return binary.BigEndian.AppendUint32(b, blockSum(seq, b, frame))
}

// decodeBlock decodes the header of a block that may hold up to left entries.
func decodeBlock(b []byte, left int) (block, error) {
	h := block{
		entries: int(binary.BigEndian.Uint16(b)),
		plain:   int(binary.BigEndian.Uint32(b[2:])),
		frame:   int(binary.BigEndian.Uint32(b[6:])),
		sum:     binary.BigEndian.Uint32(b[10:]),
	}
	if h.entries == 0 || h.entries > left || h.plain > maxBlockPlain || h.frame > maxBlockFrame {
		return block{}, fmt.Errorf("%w: payload block of %d entries in %d bytes, compressed %d", event.ErrMalformed, h.entries, h.plain, h.frame)
	}
	return h, nil
}

// blockSum is the checksum of a block; numbers are the header's bytes before it.
func blockSum(seq uint64, numbers, frame []byte) uint32 {
	var place [8]byte
	binary.BigEndian.PutUint64(place[:], seq)
	return digest.CRC32C(place[:], numbers, frame)
}

// appendPayload appends the plain form of a payload within the limits.
func appendPayload(b []byte, p *Payload) []byte {
	b = appendLong(b, p.Statement)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Items)))
	for i := range p.Items {
		it := &p.Items[i]
		if it.Erased {
			b = append(b, itemErased)
			b = append(b, it.Hash[:]...)
			continue
		}
		b = append(b, itemPresent)
		b = appendLong(b, it.Bytes)
	}
	return appendLong(b, p.Outcome)
}

func appendLong(b, value []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// cutPayload splits the first payload off the plain bytes of a block. It aliases b.
func cutPayload(b []byte) (p Payload, rest []byte, err error) {
	c := cursor{b: b}
	p.Statement = c.long()
	items := int(binary.BigEndian.Uint16(c.take(2)))
	if c.short || items > event.MaxItems || items*(1+4) > len(c.b) {
		return Payload{}, nil, fmt.Errorf("%w: payload of %d items", event.ErrMalformed, items)
	}
	if items > 0 {
		p.Items = make([]Item, items)
	}
	for i := range p.Items {
		switch c.take(1)[0] {
		case itemErased:
			p.Items[i].Erased = true
			copy(p.Items[i].Hash[:], c.take(len(p.Items[i].Hash)))
		case itemPresent:
			p.Items[i].Bytes = c.long()
		default:
			c.short = true
		}
		if c.short {
			return Payload{}, nil, fmt.Errorf("%w: payload item %d", event.ErrMalformed, i)
		}
	}
	p.Outcome = c.long()
	if c.short {
		return Payload{}, nil, fmt.Errorf("%w: payload ends early", event.ErrMalformed)
	}
	if err := p.fits(); err != nil {
		return Payload{}, nil, fmt.Errorf("%w: %w", event.ErrMalformed, err)
	}
	return p, c.b, nil
}

// cursor takes bytes off a slice. Once too few are left it is short for good and
// gives zeros.
type cursor struct {
	b     []byte
	short bool
}

// take gives the next n bytes; n is small where the slice may be short.
func (c *cursor) take(n int) []byte {
	if c.short || n > len(c.b) {
		c.short = true
		return make([]byte, n)
	}
	var v []byte
	v, c.b = c.b[:n:n], c.b[n:]
	return v
}

// long gives bytes that stand after their length.
func (c *cursor) long() []byte {
	n := binary.BigEndian.Uint32(c.take(4))
	if c.short || uint64(n) > uint64(len(c.b)) {
		c.short = true
		return nil
	}
	return c.take(int(n))
}
