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
package wal
