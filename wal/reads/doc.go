// Package reads keeps a node's own log of reads: one record for each read of object data
// that the node answered, granted or refused, as an RFC 6962 Merkle log beside the ledger and
// in its layout (wal/ledger), with a tail of the records behind the last whole bundle.
//
// It knows records, hashes and files. It does not know the state machine: whoever opens it
// tells it what the cluster has heard of it (Vouched), and tells the cluster how far it is
// (Head).
//
// A record is gathered in memory (Add, which waits for nothing) and made durable with
// others, by one sync, a second later or when a thousand wait. So a crash takes the
// records of at most the last second and of the write that is under way, and never one that
// Head has told of. There is a bound to what is gathered: beyond it reads are counted, and
// their number is a record of its own.
//
// Invariants:
//   - Head tells of durable records only, and of a tree that only grows.
//   - A number stands for one record for ever. In the place of a record that was vouched for
//     and is gone stands one that says so.
//   - What is missing is said in the log itself: dropped, lost, kept no longer; and each
//     start of the node is a record, since behind it something may be missing.
package reads
