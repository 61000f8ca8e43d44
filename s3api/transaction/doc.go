// Package transaction is the document of a transaction and of its answer: the operations
// that are to be done on different keys of a bucket, or none of them, in JSON.
//
// It knows names, types and bounds. It knows no store, no policy and no HTTP request; what
// an operation means, and whether it may be done, is for others to say.
//
// Invariants:
//   - A document is read whole or refused: a name that it does not know, or that stands
//     twice in any case of letters, refuses it, for another reader might take the other.
//   - What is read is bounded before memory is taken for it: bytes, depth, operations, parts.
//   - An error says what is wrong in words for the client, and of which operation.
package transaction
