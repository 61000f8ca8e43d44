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
// Whole clusters are one tier of several. sim/crash ends a single node at every file
// operation of its life and of its recoveries (F-P1, F-P3), which chance does not: a
// sample of it is among the tests, all of it is make crash. make chaos is real processes.
//
// # Fault model
//
// A run has two phases. In the first, faults come as planned from the seed while
// clients make requests: nodes are killed (P2), lose power with any part of what was not
// synced (D1, D2) and again while they recover (P3), are shut down in order (P6) or
// stand still (P4); the network splits in every way, flaps, clogs (N1), loses and delays
// (N2), resets, falls silent, refuses (N3), and cuts one of the two connections between
// nodes, that of Raft and proposals or that of shards, but not the other (N5); fresh
// nodes join, nodes are removed, wiped and come back (R1); leaders are cut off with
// entries that nobody else has (R3), and snapshots that nodes send each other are
// interrupted (R2) or come late (R9); writes, syncs and reads fail (D3, D4, D5),
// shards and the identities of disks rot, and so do log, term and vote, state,
// snapshots, ledger and a node's own files (D6); shards go astray (D7) or are lost
// (D8); disks are full, and that of log and state is below its reserve or has no space
// left (D9); disks are slow, stalled, hung (D10); they vanish, are not mounted, are
// read-only, are in each other's slots, of one node or of two, come back empty or as
// they were some time ago (D11); a node is restored from an old copy (D13); clocks are
// wrong by seconds or by months (K1); clients hang up (H1). Half of
// what befalls a single node's process or paths befalls the leader, and small writes
// through that node are under way when it begins. Packs are let go after a second
// without live shards, so that they come and go during a run.
//
// Damage that lasts is done to one node only, which every geometry and every majority
// here must survive: to its shards at any time, to what else it keeps (D6, D13) at most
// three times a run, and not in its first quarter. Such a node is excused if it ends, or
// does not start, and from nothing else: a log that was damaged in one place and still
// opens reaches as far as the node had applied it, or damage was taken for a torn tail
// (I1); its entries are those of the others (C5); what it answers is judged as ever. A
// node that was restored must neither serve nor lead (I10). Disks in the wrong slot stay
// as they are, file for file, and nothing is written to an empty mount point (I9).
//
// Members (R1): a cluster begins with three nodes, and two more machines are there to
// join it, as `ironman server --join` does, while everything else goes on. A node is
// removed as by `ironman admin remove-node`, also the leader, also one that still joins;
// its process goes on, clients go on to ask it, and when it is started again it must be
// refused. Nothing heals yet, so the shards of a removed node are lost for good: it is
// the node that may be damaged, and there is one in a run. Instead of being
// removed that node may be wiped, all of its disks, and join again, as another member
// at the same address. A node that comes back with its identity and without its log
// must be refused; then its own disk comes back. A node that joins may be refused and
// is started again: that excuses its end.
//
// In the second phase everything heals, and the cluster must serve again through every
// node within 10 s. A damaged node that does not is treated as the README says: it is
// removed, and a new one with empty disks takes its place, which must serve within 60 s;
// so is one whose damage shows only when its keys are read at the end. Nodes that
// started without one of their disks, or gave it up, are started once more: a disk is
// taken in again only then, before the cluster must serve if two are away beside a node
// that is damaged.
//
// One thing of the two connections (N5): they go to one port, so what tells them apart
// is the link's hello, which only a link without TLS shows.
//
// A snapshot that comes late (R9) is held on the wire while its sender is cut off from
// all others, so that what passes it is of another leader. The same leader's entries
// cannot pass it there: they travel on the same connection, and a node that installs a
// snapshot begins anew, with new connections. The tests of package wal deliver that to
// Raft by hand.
//
// A process that stands still (P4) is one whose calls of disk and network do not
// return; what needs neither goes on: timers fire, a leader notices that it hears from
// nobody. In a bubble only the network stands still. SIGSTOP, which stops that too,
// takes processes: see make chaos.
//
// Beside what every release knows clients commit transactions, read the past, restore keys of their own and
// read the feed, of the cluster and of a bucket, all through the faults. A second bucket keeps its
// history for longer than the run, strictly in half of the runs; the first has a retention of its own in a third of them. In
// a third of the runs a key is erased from the record while faults go on: then records are replayed from the snapshot that
// each node took for it, and from their first event in the others.
//
// Not simulated yet: requests that make use of versions, locks, encryption, users or
// policies; damage to what lies beside shards on more than one node, the removal
// of a second node, members beyond five, binaries of two releases (P7). Nor is a copy put
// back that was made of a node's newest start, or while others have not heard of a newer
// one: nobody could tell it from a power cut behind a disk that lied.
//
// # Checks
//
//	C1  every key's requests have an order that explains them (porcupine), with every
//	    key read again at the end; listings are reads of each key they should show
//	C2  the events of each node's ledger and log, applied to an empty state machine, make
//	    the envelopes that are recorded, and the state and root that the nodes agreed on
//	C4  every shard that the state names is on its disk, bound to its place, with the
//	    parity that its data has; damage only where it was done; every blob can be read
//	C5  no term has two leaders; entries that any node has applied are the same on all
//	C7  enough requests were answered
//	D9  a node below its reserve stores nothing new, and deletes what it is asked to
//	I4  every body that came whole is one that was written, with its entity tag
//	I5  all nodes have the same state digest and ledger root behind the same events
//	I12 no process ends by itself unless a fault excuses it; all serve in the end
//	I7  a body that is read slowly is there until the grace behind its deletion is over
//	I14 what ended is gone: a process that was closed in order has given back its files,
//	    ports, connections and buffers, and none of its goroutines runs any more. Those
//	    that ended in the middle of something leave some by their nature; a label tells
//	    the goroutines of one start from those of another
//	I15 a transaction is seen whole or not at all, in any listing, of now or as of any event; of
//	    those that race on a condition one is done (C1, for which its keys are one register)
//	I16 what a key was as of an event never changes, and is what the answer to that change said
//	I17 what a bucket is to keep can be read as of then, whatever the cluster's retention is
//	I18 a restore makes keys that nobody else touches what they were as of its moment
//	I19 who reads the feed, and goes on at any node by sequence or cursor, is told of each event
//	    once, in order, in the words of the record; a cursor stands where it was moved to
//	I20 a name that was erased is in no file of any node that said so, and the record replays
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
//	seed 2032 (TestFast, all faults): a node that joined waited for ever for an answer
//	    on a connection that had fallen silent, and if it came to another try, that told
//	    the time of the first, by which its clock was wrong (server.TestJoinBySilence)
//	seed 6074 (TestFast): a member that was away while another joined did not know that
//	    one and refused its connections; once the new one led, it could not come back
//	    (server.TestLearnMembers)
//	seed 3030 (TestFast): Raft's pause of up to 10 s, again, where a leader knows that a
//	    node that is away needs a snapshot (wal.TestSnapshotWaits)
//	seed 4006 (TestFast, all faults): a write that met a node as it started kept new
//	    shards away from it for 5 s, though it served a moment later (erasure.TestAvoid)
//	seed 1018 (TestFast): a node that was removed while it started was told that its
//	    directory was a copy (server.TestMayStart)
//	seed 4 (TestFast): a node that could not find out whether its start was agreed on
//	    proposed it again, was refused because of the first, and ended, taking itself for
//	    a copy (server.TestSettle)
//	seed 410 (TestFast): a node that installs a snapshot begins anew before it has
//	    answered, so its leader counted a failure, waited longer each time, and then sent
//	    its next snapshot: where snapshots are taken often, a node that joined installed
//	    one after the other for ever (wal's install_raft_test.go: every install is
//	    answered before the restart)
//	make crash: a power cut in the first start of a disk could leave its identity without
//	    the directory of its packs, and then the disk failed for good; one that was
//	    formatted by a process that was killed could be lost by the next power cut
//	    (erasure.TestFormatIsWhole, wal/durable.TestMakeDirAgain)
//	make crash: a power cut while the state replaced its MANIFEST could leave the
//	    marker of one that was not there, where the file system keeps no order; the
//	    node did not start (fsm.TestUnorderedDirectory)
//	make chaos SEED=8 MINUTES=3: a stream of another node that came while a node
//	    started met a log that was not there yet, a panic; one that came to a log which
//	    never opened kept the process from ending (server.TestStreamBeforeLog)
//	seed 20049: the world itself stood still for ever: a fault took a node's log away by
//	    way of a disk that hung, and whoever would have it go on waited for the node
//	    (TestForgetWhileHung). A world that has not ended an hour of virtual time behind
//	    its faults ends now, with what everybody is doing; and a run can be interrupted.
//	TestFast, D6,D13,P2, seeds 4 and 9: a node that was restored from an old copy was
//	    refused at first, but each of its starts raised its counter, until it had
//	    overtaken the one that the others knew: then it led and served. A node remembers
//	    now which of its starts it proposed (server.TestClusterSetBack)
//	TestFast, seed 30127: a checkpoint that failed, as on a disk that is full, left files
//	    open and a goroutine for each, and was tried again every second
//	    (fsm.TestCheckpointFails)
//	TestFast, seed 40046: a disk that was formatted while a sync of its directory failed was
//	    formatted again, to which there seemed to be nothing left to do; the next power cut
//	    took its identity, and it failed for good (erasure.TestFormatAfterFailedSync)
//	TestFast, seeds 50225 and 60057: the world asked for more than is promised: one node was
//	    damaged for good and two disks of another had failed, which take no more writes
//	    until they are opened again. What could not survive another loss is refused; the
//	    operator starts the node with the failed disks again before the cluster must serve.
//	TestFast, seed 61144: the world again: a start that met a failed sync closed what it had
//	    open before it said so, and by then the fault that excused it was over.
//	TestFast, seed 61177: likewise: a node that was wiped had joined again while the faults
//	    had not let its old number be removed, and was damaged then: two voters of four lost.
//	TestFast, seed 60422: the checker again: a replay of a ledger that had rotted took what it
//	    could not decode for a violation, without asking the ledger's own proof first.
//	TestFast, seed 61476: a file of the ledger whose directory could not be synced was taken
//	    over by the next process, which vouched for it behind a sync that did nothing; a power
//	    cut took the file, and with it what the log no longer held
//	    (wal/ledger.TestAfterFailedSync)
//	TestFast, seeds 32 and 70 of the load with a bucket that is strict about its history: a leader whose clock
//	    was set half a year ahead stamped events until the next ping told it, and that time was log time
//	    for good: history went that was to be kept. A clock that is set is noticed before it stamps anything now
//	    (link.TestClockIsSet, server.TestClockVerdict, wal.TestClockSetMeanwhile)
//	TestFast, seed 334: likewise: a node whose clock was set chose what history is to go by that clock, stopped leading,
//	    and the next leader, whose clock was right, took its proposal (as the logs tell; it was not
//	    seen a second time). It judges its clock behind the choice now
//	TestFast, seed 312: the checker again: a node that had no room for snapshots was sent the next one 10.24 s
//	    behind the last, as Raft has it, and had to serve 10 s behind the last fault
package sim
