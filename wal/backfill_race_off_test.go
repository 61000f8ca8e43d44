//go:build !race

package wal

// backfillStride is the step of enumerations: every single one.
const backfillStride = 1
