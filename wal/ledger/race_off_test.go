//go:build !race

package ledger

// stride is the step of the enumerations of single operations: every one.
const stride = 1
