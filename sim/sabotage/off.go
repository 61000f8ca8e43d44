//go:build !sabotage

package sabotage

// On tells whether a wrong change is in effect: never, in this build.
func On(ID) bool { return false }

// Now is the wall clock where X36 and X39 read it; here it stands still.
func Now() int64 { return 0 }

// Shuffle puts a list into the order in which a map gives it, if a wrong change is in
// effect: never, in this build.
func Shuffle[T any](ID, []T) {}
