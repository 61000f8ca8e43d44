//go:build race

package wal

// backfillStride is the step of enumerations on one goroutine: the race detector
// makes them ten times as slow and finds nothing.
const backfillStride = 23
