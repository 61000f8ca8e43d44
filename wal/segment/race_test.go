//go:build race

package segment

// thin tells the long samples to take fewer: the race detector makes them several
// times slower, and looks for something else.
const thin = true
