package erasure

import "errors"

// The errors callers tell apart, with errors.Is.
var (
	// ErrTolerance: the tolerance that was configured cannot be met with the
	// disks there are; nothing was stored that counts.
	ErrTolerance = errors.New("erasure: too few disks for the configured tolerance")
	// ErrUnavailable: fewer good shards than the blob needs could be read. What
	// is left is kept.
	ErrUnavailable = errors.New("erasure: too few good shards")
	// ErrNotServing: the node of a disk is starting or stopping; of the disk it says
	// nothing.
	ErrNotServing = errors.New("erasure: the disk's node does not serve yet, or no more")
	// ErrNoSpace: a disk is full.
	ErrNoSpace = errors.New("erasure: no space left on the disk")
	// ErrDiskFailed: the disk had a write or fsync error and takes no more writes.
	ErrDiskFailed = errors.New("erasure: disk failed")
	// ErrStalled: a disk did not finish a write within the stall limit.
	ErrStalled = errors.New("erasure: disk stalled")
	// ErrNoIdentity: the directory holds no identity file: an empty mount point
	// is not an empty disk.
	ErrNoIdentity = errors.New("erasure: no identity file (not a formatted disk, or not mounted)")
	// ErrForeignDisk: the identity file is another cluster's, node's or slot's.
	ErrForeignDisk = errors.New("erasure: this disk belongs elsewhere")
	// ErrFormatted: the disk to be formatted has an identity or packs already.
	ErrFormatted = errors.New("erasure: disk is formatted already")
	// ErrStaleIncarnation: the disk holds packs of this incarnation or a later
	// one: this node is a clone or was restored from a backup.
	ErrStaleIncarnation = errors.New("erasure: disk holds packs of this incarnation or a newer one")
	// ErrNewer: written by a newer version of the format than this one knows.
	ErrNewer = errors.New("erasure: format is newer than I am")
	// ErrCorrupt: bytes that are not what was written.
	ErrCorrupt = errors.New("erasure: corrupt")
	// ErrForeign: intact bytes, but not those of the place or blob asked for.
	ErrForeign = errors.New("erasure: intact, but belongs elsewhere")
	// ErrPackOpen: the pack may still be appended to.
	ErrPackOpen = errors.New("erasure: pack is not sealed")
	// ErrReleased: the pack is gone, or about to be.
	ErrReleased = errors.New("erasure: pack is released")
	// ErrInvalid: an argument contradicts itself.
	ErrInvalid = errors.New("erasure: invalid argument")
	// ErrBody: the reader gave fewer or more bytes than announced.
	ErrBody = errors.New("erasure: body is not of the announced length")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("erasure: store is closed")
)
