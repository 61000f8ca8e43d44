package erasure

import "context"

// Place is where a shard lies on its disk.
type Place struct {
	Pack   PackKey
	Offset uint64 // of the shard's header in the pack, in bytes
}

// ShardTarget is one disk as the coder sees it: a local one, or one behind a
// link. All methods are safe for concurrent use.
type ShardTarget interface {
	// DiskID is the id that the disk's checksums are bound to.
	DiskID() [16]byte

	// Append stores a whole shard, its cells in order of their stripes. It calls
	// done exactly once, on any goroutine, never before the shard is durable;
	// after an error the shard may or may not be there, and does not count.
	// Append itself does not wait for the disk. The cells' bodies must not change
	// until done is called; done must not block.
	Append(spec ShardSpec, cells []Cell, done func(Place, error))

	// Stream begins a shard that is too long to be held in memory, or of unknown
	// length.
	Stream(spec ShardSpec) (ShardStream, error)

	// ReadAt fills p from a pack. Anything less is an error; a pack or range that
	// is not there is fs.ErrNotExist. ctx may be honoured or not.
	ReadAt(ctx context.Context, pack PackKey, offset uint64, p []byte) error
}

// ShardStream writes one shard, for one goroutine. It ends with Commit or Abort,
// whatever failed before.
type ShardStream interface {
	// WriteCell adds the next stripe's cell. The body is not used after it returns.
	WriteCell(c *Cell) error
	// Commit returns the place once the shard is durable. size is the plain size
	// of the whole blob, known by now.
	Commit(size uint64) (Place, error)
	// Abort gives up. What was written stays until its pack is released.
	Abort()
}
