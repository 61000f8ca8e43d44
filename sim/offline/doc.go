// Package offline checks what the stopped nodes of a cluster have on their disks: that
// each node's ledger and log, applied from the first event on, come to what the nodes
// agreed on; and that every shard which the state names is there as it was written.
//
// It does not know whether the disks are simulated (sim/world) or those of processes
// (the tests of package server). It opens what it checks as a node would, which may
// write: nothing else may have the disks open, and no node is to start on them again.
package offline
