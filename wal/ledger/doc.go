// Package ledger keeps the history of the store on disk: one envelope per event,
// for ever, as an RFC 6962 Merkle log in the layout of C2SP tlog-tiles, so that
// any public verifier can check it; and beside it what the envelopes commit to,
// the statement, payload items and outcome of each event.
//
// It knows bytes, hashes and files. It does not know Raft, the state machine or
// the network: whoever holds records that are not archived yet (the queue) hands
// them to Append in dense order, and drops them once Size has passed them.
//
// The directory:
//
//	checkpoint              signed tree head: the size that is vouched for
//	checkpoints/<N>         signed tree head of the first (N+1) * 65536 leaves
//	head                    the size, where nobody signs
//	tile/<L>/<N>            256 hashes of level L (32 bytes each)
//	tile/entries/<N>        256 envelopes
//	payload/<N>             statements, items, outcomes of the same 256 sequences
//
// An archive of another log than the store's history (of reads, wal/reads) may have, too:
//
//	tail                    records behind the last whole bundle
//	kept                    from which record on they are kept
//
// and <file>.tmp of one that is being written. <N> is in groups of three digits:
// x001/x234/067. An export holds in addition the partial tiles and bundles of the
// right edge, <N>.p/<W>.
//
// Why only full bundles: each file is written once, and nothing on the right
// edge is ever rewritten or removed. The hashes of the edge's partial tiles live
// in memory and are computed again from full tiles at Open.
//
// Why a checkpoint per 65536 leaves is kept and the ones between are not: they
// are evidence that what was signed then is a prefix of what is signed now, for
// the price of one small file per full tile of level 1, and which ones are kept
// does not depend on how appends were batched. The latest always stands in
// "checkpoint"; whoever wants a denser record keeps the ones it was shown.
//
// Invariants:
//   - What is archived is never rewritten. Appending it again compares, and a
//     difference is fatal. Only payload items are ever taken away, by Erase, and
//     each leaves its hash behind, so that every proof still holds.
//   - A size is vouched for (checkpoint, head) only after every file below it is
//     durable, and its directory too: data, fsync, rename, fsync of the
//     directories, then the checkpoint in the same way.
//   - A checkpoint is signed only if it is consistent with the one before.
//   - Size is a multiple of 256 and never shrinks while the archive is open.
//   - What one archive gives another (Extract) proves itself to whoever knows the
//     tree; it is believed for nothing else.
package ledger
