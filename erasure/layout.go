package erasure

import "fmt"

// UnknownSize stands for a blob size that is not known while it is written.
const UnknownSize = ^uint64(0)

// Bounds of a geometry; decoders refuse what is outside.
const (
	// MaxShards bounds k + m.
	MaxShards = 255
	// MaxCell bounds the bytes of a cell.
	MaxCell = 16 << 20
	// DefaultCell is the bytes of a full cell: large enough that its 64 bytes of
	// header are nothing and a disk reads it in one sweep, small enough that a
	// range read of one byte verifies little more than it must.
	DefaultCell = 256 << 10
)

// Layout is the arithmetic of one blob: how its plain bytes fall into stripes of
// k cells. Every stripe but the last holds k full cells; the last one holds k
// cells of ceil(rest/k) bytes, padded with zeros. All lengths are in bytes.
type Layout struct {
	K    uint32
	Cell uint32
	Size uint64
}

// check refuses what no blob can have.
func (l Layout) check() error {
	if l.K == 0 || l.K > MaxShards || l.Cell == 0 || l.Cell > MaxCell {
		return fmt.Errorf("%w: k = %d, cell = %d", ErrInvalid, l.K, l.Cell)
	}
	if l.Size != UnknownSize && l.Size/l.Stripe() >= 1<<32-1 {
		return fmt.Errorf("%w: %d bytes are too many stripes", ErrInvalid, l.Size)
	}
	return nil
}

// Stripe returns the plain bytes of a full stripe.
func (l Layout) Stripe() uint64 { return uint64(l.K) * uint64(l.Cell) }

// Stripes returns how many stripes the blob has; none if it is empty.
func (l Layout) Stripes() uint64 {
	n := l.Size / l.Stripe()
	if l.Size%l.Stripe() != 0 {
		n++
	}
	return n
}

// PlainLength returns the plain bytes of a stripe.
func (l Layout) PlainLength(stripe uint64) uint64 {
	return min(l.Stripe(), l.Size-stripe*l.Stripe())
}

// CellLength returns the body bytes of each cell of a stripe.
func (l Layout) CellLength(stripe uint64) uint32 {
	return cellLength(l.K, l.PlainLength(stripe))
}

// cellLength returns the body bytes of each of k cells of plain bytes.
func cellLength(k uint32, plain uint64) uint32 {
	return uint32((plain + uint64(k) - 1) / uint64(k))
}

// CellOffset returns where a stripe's cell begins, header included, counted from
// the start of the shard's header.
func (l Layout) CellOffset(stripe uint64) uint64 {
	return shardHeaderBytes + stripe*(cellHeaderBytes+uint64(l.Cell))
}

// ShardLength returns the bytes of a shard in its pack, headers included. The
// footer that follows a shard of unknown length is not counted.
func (l Layout) ShardLength() uint64 {
	n := l.Stripes()
	if n == 0 {
		return shardHeaderBytes
	}
	return l.CellOffset(n-1) + cellHeaderBytes + uint64(l.CellLength(n-1))
}
