// Package segment keeps the log files of a Raft store: it appends entries,
// reads them back, truncates at either end, and recovers what was acknowledged
// after a crash. It knows bytes and files. It knows nothing of raft: no votes, no
// snapshots, no commit index; what may be truncated is its caller's decision.
//
// A directory holds segment files, each a run of entries in frames, and one
// MANIFEST, which is the truth: a file that it does not list is never read.
//
// Invariants:
//   - Append, TruncatePrefix, TruncateSuffix and Reset return nil only when what
//     they did is durable. A write or fsync that fails, or takes longer than the
//     stall limit, calls Fatal; it is never retried and never returned.
//   - A file is filled with zeros, and durable with its name, before the manifest
//     lists it. Segment ids only rise and are never used twice.
//   - A 4 KiB block that holds acknowledged bytes is never written again: every
//     batch begins at a fresh block, so a torn write cannot reach what was
//     acknowledged before it. Mending is the one exception (mend.go).
//   - Recovery never shortens what was acknowledged. Whatever it cannot explain as
//     the one batch that was in flight is ErrCorrupt, and then nothing on disk has
//     been changed. Holes in what was acknowledged are filled only with entries that
//     its caller vouches for, in the places where they stood.
//   - Every read of an entry verifies its frame, also below the floor.
//   - Recovery trusts the page cache of an earlier process with nothing: entries
//     that are not known to have been synced are written anew before they count.
//
// Words: a batch is what one Append call wrote; a mark is a frame without an
// entry, which says up to where entries were acknowledged; the floor is the index
// right below the first entry; a slot is one of the two copies of the manifest.
package segment
