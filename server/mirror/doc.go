// Package mirror keeps one bucket the mirror of another by the feed of the other. It is a
// consumer of the feed as anybody could write it: all that it needs is signed requests to S3.
//
// What it knows: how far it has come is a cursor of the feed, in the source's cluster, moved behind
// what is done. What an event has done is written on the object itself, as the sequence up to
// which it shows its key. So each event takes effect once, however often it is heard of: a key
// whose object in the target shows the event's sequence, or a later one, is passed over.
//
// Invariants:
//   - A key is brought to its state as of a sequence that is behind all events in hand, and which was
//     looked up after they were read. It never goes back, also where a batch is done again.
//   - A write names what it replaces (If-Match, If-None-Match), so that of a request that outlived the
//     process that sent it and the one that follows, one has no effect.
//   - Nothing is replaced or removed that a mirror of this bucket has not written.
//   - The cursor is moved behind a batch when all of it is done.
//
// What it does not know: other versions than the current one, lists of access, locks, checksums.
package mirror
