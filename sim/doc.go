// Package sim runs whole clusters of the production code in a world where time, disks,
// network, clocks and failures are simulated, and where the same seed is the same
// history, bit for bit.
//
// # How
//
// sim/guest is compiled to GOOS=wasip1 together with the server (sim/build.sh) and run
// by wazero: one thread, a clock that jumps whenever no goroutine can run, randomness
// from the seed. Everything the server does to the outside goes through seams that
// production has too (server.Options: a vfs.FS, Listen and Dial, Now, Fatal), so
// nothing of it is replaced by a mock: Raft, Pebble, net/http, erasure coding, the
// link and the S3 front are those that ship. What surrounds them is sim/world: machines
// on sim/disk, sim/network between them, clients, faults, checks. The same world runs
// natively in testing/synctest bubbles (sim/world, TestFast): many times faster, under
// the race detector if wanted, but not repeatable.
//
// # Fault model
//
// A run has two phases. In the first, faults come as planned from the seed while
// clients make requests: nodes are killed (P2), lose power with any part of what was not
// synced (D1, D2) and again while they recover (P3), are shut down in order (P6) or
// stand still (P4); the network splits in every way, flaps, clogs (N1), loses and delays
// (N2), resets, falls silent, refuses (N3); writes, syncs and reads fail (D3, D4, D5),
// shards rot (D6), go astray (D7) or are lost (D8), disks are full (D9), slow, stalled,
// hung (D10), vanish, are not mounted, read-only (D11); clocks are wrong by seconds or
// by months (K1); clients hang up (H1). Damage that lasts is done to the shards of one
// node only, which every geometry here must survive. Half of what befalls a single
// node's process or paths befalls the leader, and small writes through that node are
// under way when it begins. Packs are let go after a second without live shards, so
// that they come and go during a run. In the second phase everything
// heals, and the cluster must serve again through every node within 30 s.
//
// Not simulated yet: damage to log, state and ledger (D6 there), membership changes during a run (R1), binaries of
// two releases (P7), a process that stands still while its sockets live (P4 is seen
// from the network only).
//
// # Checks
//
//	C1  every key's requests have an order that explains them (porcupine), with every
//	    key read again at the end; listings are reads of each key they should show
//	C2  the events of each node's ledger and log, applied to an empty state machine, make
//	    the envelopes that are recorded, and the state and root that the nodes agreed on
//	C4  every shard that the state names is on its disk, bound to its place, with the
//	    parity that its data has; damage only where it was done; every blob can be read
//	C7  enough requests were answered
//	I4  every body that came whole is one that was written, with its entity tag
//	I5  all nodes have the same state digest and ledger root behind the same events
//	I12 no process ends by itself unless a fault excuses it; all serve in the end
//	I7  a body that is read slowly is there until the grace behind its deletion is over
//	I14 what ended is gone: a process that was closed in order has given back its files,
//	    ports, connections and buffers, and none of its goroutines runs any more. Those
//	    that ended in the middle of something leave some by their nature; a label tells
//	    the goroutines of one start from those of another
//
// # What it is blind to
//
// sim/sabotage/run puts known mistakes into the code and tells which the world finds, in
// how many seeds (record.txt). It cannot find those that another line of defence makes
// harmless: an entry that is applied again (X15) is known by its request id, as no replay
// is longer than the deduplication window; "not done" for "unknown" (X43) becomes a 5xx,
// which leaves the outcome open to the client anyway. Tests of the layer find both. It
// replays events by the code under trial, not by another model: a rule that every
// node gets wrong in the same way shows only where clients see it.
//
// # Track record
//
// Bugs that the simulator found, with the seed that shows them at the commit before
// their mending:
//
//	seed 10, 30 s: closing a node that is being closed closed Pebble twice, a panic
//	    (server.TestCloseTwice)
//	TestFast, seed 28: a node that was away for 20 s served only 20 s after its return:
//	    Raft pauses up to 10 s between tries to send it entries, before and after the
//	    snapshot (wal.TestReturn). It takes a second now.
//	TestFast under the race detector: a node that won an election while it closed
//	    asked in a loop, without a pause, whether it might lead
//	    (wal.TestClosingNodeIsElected)
//	make chaos SEED=8 MINUTES=3: a stream of another node that came while a node
//	    started met a log that was not there yet, a panic; one that came to a log which
//	    never opened kept the process from ending (server.TestStreamBeforeLog)
package sim
