//go:build !race

package segment

const thin = false
