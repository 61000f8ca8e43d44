// Package load is the clients of a cluster under trial: they put, create, replace,
// delete, copy, upload in parts, list and read through all nodes, and write down what
// each request was answered (sim/history), for the judge. Every body names itself, so
// what is read tells by whom it was written, and whether it is whole.
//
// Where all nodes are of this release (Cluster.Later) they also commit transactions (sets), read
// the past, restore keys of their own, follow the feed and have a key erased, and compare
// what they find with what they know of it.
//
// It does not know whether the cluster is simulated (sim/world) or made of processes
// (the tests of package server), nor what befalls it. With the same source of
// randomness and the same answers a client makes the same requests.
package load
