// Package crash ends a whole node before every single file operation of its life, and
// again while it recovers, and checks what is left (F-P1, F-P3). It is tests only.
//
// The node is the production server, with log, votes, state, snapshots, packs, ledger
// and its own files on sim/disk. Clients make requests, one after the other but for the
// last ones, from the first start of the node on through a restart in good order; small
// files and snapshots let all that rotates, seals, archives or is collected do so.
//
// Nothing is killed. Before an operation the disk is forked as the end would leave it
// (disk.Cut, disk.Kill), with what clients know at that moment, and the run goes on
// unharmed. So one run gives the points of all its operations, and a start on such a
// point gives those of a recovery in the same way.
//
// A way names what happened: "120n,33s" is an end before operation 120 of the first
// run, and one before operation 33 of the start on what that left. Behind the number is
// what became of what was not synced: n, nothing is left; s, chance decides of each
// block, size and name; k, the process was killed, and all of it is there and may still
// be lost. Runs are in bubbles of virtual time on one thread, with randomness from the
// seed, so that the same way is the same operations. That holds but for turns of the
// scheduler on a busy machine: a way that is repeated says which operation it ends before.
//
// Demanded of each start:
//
//	I1  what was acknowledged is there, byte for byte, what was not answered is there
//	    as a whole or not at all, and nothing else is; what was once read stays
//	I3  listings, page by page, show just what can be read
//	I7  no pack with live shards is gone
//	I8  no temporary files are left, nor packs of older starts without live shards
//	I12 the node starts, serves what is new, and does not end itself
//	I14 nothing of it runs on when it is closed
//	C2  ledger and log, applied to an empty state machine, come to its state and root
//	C4  every shard that the state names is on its disk, as it was written
//	C7  the run did all that is to be cut, and something was lost
//
// Not here: more than one node (sim/world), faults that are not ends of the node, sockets:
// requests go through the whole front, but as calls.
package crash
