// Package audit reads, checks, proves and replays what a cluster has recorded, from the
// directory of a node that does not run or from an exported ledger. It changes nothing in
// what it reads, and needs no other node. A node that runs puts its records into the same
// words.
//
//   - reader.go: records in order, of a node or an export.
//   - node.go: the record of a stopped node: its ledger, and what its log holds behind it.
//   - entry.go: what a record tells; words.go: with the names that are known;
//     filter.go: which of them are asked for.
//   - proof.go: that an event is in the ledger, in one file (C2SP tlog-proof).
//   - replay.go: the state machine made anew from the record, each step compared.
//   - diff.go: what changed between two moments.
package audit
