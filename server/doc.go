// Package server composes a node: the log, the state machine, the disks and the
// S3 front, each of which knows nothing of the others. It owns what only a whole
// node has: its identity, its keyring, genesis, the collector, the admin listener.
//
// Invariants:
//   - Bytes before event: a blob is durable before an event names it.
//   - Nothing is deleted from a disk but packs that a committed event released.
//   - Two nodes in one process share nothing: there is no package-level state.
//   - All I/O goes through Options: a file system, listeners, one clock, one fatal.
package server
