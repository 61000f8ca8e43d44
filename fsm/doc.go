// Package fsm is the state machine: a pure, total Apply of events over Pebble,
// and views of what it holds. It knows rows, references, history and listings;
// it knows nothing of Raft, disks, HTTP or time (the log brings its own).
//
// Invariants:
//   - Apply reads no clock, no randomness and nothing but its own rows: the same
//     events give the same rows, outcomes and digest on every node and in every replay.
//   - An event's effects, the applied index, its leaf and the Merkle frontier are
//     one atomic Pebble batch.
//   - A refused event writes no row but its leaf and its place in the
//     deduplication window: the writes of an event are collected and dropped whole.
//   - Every row that names a body (current, history, upload part, assembly) holds
//     exactly one reference to it; a body without references is released by an
//     event no sooner than the grace after the last one went.
//   - A key's newest version is its object row or, where there is none, its first row in
//     the table of versions, which then is a marker. Versions are ordered as the log is.
//   - No event removes a version for good whose retention has not passed by log time, or
//     that is held.
//   - What quotas bound is counted by every event that changes it, exactly.
//   - The state digest is the sum mod 2^256 of SHA-256 over all replicated rows.
//   - Pebble runs without a log of its own: the Raft log is its log. Entries at or
//     below the applied index are skipped on replay.
package fsm

//go:generate protoc --proto_path=.. --go_out=.. --go_opt=module=ironman fsm/row.proto
