// Package merkle keeps the right edge of an RFC 6962 Merkle log: all that is
// needed to append a leaf and to tell the root, in some hundred bytes, however
// long the log is. It knows hashes; it knows neither what a leaf says nor where
// the log is stored. Pure: no I/O, no shared state.
//
// Invariants:
//   - A Frontier is a function of the leaves alone: equal leaves give equal
//     frontiers and equal bytes.
//   - Its root is the Merkle tree hash of RFC 6962, section 2.1, as computed by
//     golang.org/x/mod/sumdb/tlog.
package merkle
