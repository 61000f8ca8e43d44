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
//     looked up after they were read. Of one mirror it never goes back, also where a batch is done again.
//   - Nothing is replaced or removed that a mirror of this source has not written at this key.
//   - The cursor is moved behind a batch when all of it is done, but for keys whose metadata leaves no room
//     for the mark: those are passed over until they change, and told.
//   - Nothing is removed but where the source says that there is no such key.
//
// Run one mirror on a target. A write names by its entity tag what it replaces (If-Match, If-None-Match), so
// that of two writes at once, by two mirrors or by a request that outlived its process, mostly one has no effect.
// That is no fence: entity tags tell bytes, not writes. If the bytes of a key go and come back meanwhile, a late
// write of a state in between is taken, and the target shows that, under its mark, until the key changes again.
// Of two mirrors with one cursor one finds out when it moves the cursor, which is after it has written.
//
// What it does not know: other versions than the current one, lists of access, locks, checksums.
package mirror
