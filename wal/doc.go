// Package wal is the replicated, provable log: Raft over our own segment files,
// and the ledger that is written behind it. It is the only package that knows
// hashicorp/raft; no index or term leaves it. It knows nothing of what events
// mean: the state machine is an interface here.
//
// Invariants:
//   - Propose returns an outcome only after the event is durable on a majority
//     and applied here. Any other end is ErrNotDone (it never will take effect) or
//     ErrUnknown (it may have).
//   - Barrier returns only when everything that was acknowledged anywhere before
//     the call is applied here.
//   - A failed write or fsync of the log stops the node; it is never retried and
//     never handed to raft, which would go on with a wrong idea of the log.
//   - A segment file stays until its entries are in the ledger, whatever raft truncates.
//   - What comes from another node's ledger is archived only after this node's own
//     state has confirmed it.
//   - A node whose log is damaged does not vote before it holds again what it
//     acknowledged, or what was committed in its place; if it cannot know, it
//     refuses to start.
//
// # Mending a damaged log
//
// A hole (see package segment) is a run of entries that this node acknowledged and
// cannot read any more. While the log opens, before Raft does, they are asked of the
// other nodes (mend.go); a scrub does the same for a log in use (scrub.go). Why what
// they give may be put there:
//
//  1. A node gives only what it knows to be committed. At each index one entry is
//     ever committed, so that all who answer give the same, whenever they are asked.
//  2. If an entry stands whole behind the hole, the node that answers must have
//     committed the very same at that index. Two logs that hold an entry of one index
//     and term are equal up to it (log matching): so what it gives is what stood in
//     the hole, and this node's log is again, to the byte, the one that it
//     acknowledged and voted by. If the two entries differ, this node's log goes on
//     with what was never committed, nobody can tell what stood in the hole, and it
//     is not mended.
//  3. If none stands behind it, because the hole is the end of the log, the entry
//     before it must be the very same: then this log becomes that of the committed
//     entries up to there, as if the leader had just sent them. What stood there was
//     either the same, or was never committed and, another entry being committed at
//     its index, never can be: nobody counts on it. Nor can this node help to elect
//     somebody who lacks that entry: a majority committed it without this node, and
//     refuses.
//  4. This believes what one node says of its log. So one node is enough only where
//     this node's own ledger bears it out: the entry was applied here, its leaf, in the
//     state's queue or the archive, has the same hashes of statement and items and
//     the same stamp, and the entries on both sides leave one term for it, which no
//     leaf tells. Anything else (no-ops, configurations, events not applied here when
//     the state was last flushed, the borders of terms) takes the same word of two
//     nodes, and of no third a different one; or of the only other one there is.
//  5. The entry must fill the hole as its neighbours bound it, index, term and length.
//
// What both a snapshot and the ledger hold, nobody needs: a hole there is left, and
// the log begins behind it. Everything else that cannot be read stays a refusal:
// headers, the manifest, holes whose end cannot be seen, holes on both sides of a
// file's border, and what too few others hold.
package wal
