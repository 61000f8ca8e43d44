// Package s3api serves the Amazon S3 API over HTTP. It knows requests, who may
// make them, and answers; where bytes lie and how events are agreed on is behind
// the interfaces Log, Views and Blobs.
//
// A request passes each step once: request id, route, authenticate, view, authorise,
// handler, answer. Every operation is a row of the operations table and one
// function in a file named after its noun.
//
// Invariants:
//   - One parsed Request is what authentication, authorisation, storage and audit use.
//   - A route without a named action cannot be built; bad credentials never fall
//     back to anonymous. What each operation takes is written a second time, in the
//     security matrix (matrix_table_test.go), which asks as everybody.
//   - A body is committed only after its last signature and checksum were verified.
//   - A 200 whose body fails breaks the connection; it never ends cleanly.
package s3api

//go:generate go test -run ^TestSupport$ -update
