// Package world is a cluster of the production server and everything around it:
// machines with disks, a network, clocks, clients, and what befalls them. It runs
// wherever package time is virtual: in a wasip1 guest (package sim), where the same
// seed gives the same history bit for bit, and in a synctest bubble, where it does
// not, but runs faster and under the race detector.
//
// It knows nothing of who drives it. Nothing in it may depend on the order of a map,
// on the real clock, or on randomness that does not come from its seed.
package world
