//go:build race

package ledger

// stride is the step of the enumerations of single operations. They run on one
// goroutine; the race detector makes them ten times as slow and finds nothing.
const stride = 23
