// Package erasure keeps the bytes of blobs on disks: it chooses a geometry,
// codes a blob into shards (Reed-Solomon), lays the shards into packs, and reads
// them back, whole or by range, through any damage that the geometry survives.
//
// It knows disks, packs, shards, cells and blobs. It does not know objects,
// buckets, events being committed, or which blob is still referenced: a blob's
// row (event.Blob) comes in as an argument, and what may be deleted is told by
// the caller, who has it from a committed event.
//
// Invariants:
//   - Put returns only after every shard it names is durable (file, then
//     directory), on as many distinct disks as the recorded tolerance needs.
//   - No byte is returned before the checksum of its cell matched, and that
//     checksum binds the bytes to their whole identity: cluster, disk, pack,
//     offset, blob, stripe, shard, geometry and generation. A stripe that was
//     reconstructed also matches the digest of its plain bytes, which every
//     cell carries.
//   - A read that cannot be completed ends in an error, never in a clean end.
//   - Nothing is deleted, truncated or overwritten from local inference. A block
//     that was ever written is never written again; the one way a pack goes away
//     is Unlink, and its caller vouches for a committed event that released it.
//   - After a failed write or fsync a disk takes no further write until it is
//     opened anew; a failed fsync is never tried again.
//   - No goroutine outlives Store.Close.
package erasure
