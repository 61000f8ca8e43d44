// Package network is a simulated network of named hosts that speak TCP. It knows
// bytes, connections, time and chance; it knows nothing of what the bytes mean, of
// nodes, or of any protocol above. A Host gives out net.Listener and net.Conn with
// everything that code may rely on: deadlines, half-close, a full window, resets.
//
// # How it works
//
// Nothing moves by itself, and there are no goroutines. A segment carries the time
// at which it arrives; whoever reads looks at the clock and waits, with one timer,
// for the next thing that can happen to it. A fault walks the connections that
// live and changes those times. A reset and the end of a sender's patience are
// times, too, and take effect when somebody next looks at that end.
//
// Time is that of package time: virtual in a synctest bubble and under a host that
// drives the clock. Chance is Options.Rng alone. So one thread and one seed give one
// history; with several threads it is only correct.
//
// # What it does to bytes
//
// It is TCP: bytes of a connection are neither lost, doubled nor swapped. What
// happens to segments shows as what a socket would show:
//   - F-N1: blocks drop segments silently, in one direction or both, between hosts,
//     around one host, between groups, or beside a bridge. What was under way or is
//     sent meanwhile waits for a heal, and for the retransmission that follows it, or
//     until its sender gives up with ETIMEDOUT. A block of one direction also takes
//     the acknowledgements of the other. Clogs delay instead; Swizzle clogs hosts
//     one after another.
//   - F-N2: loss is a delay of 200 ms, doubling; jitter, bandwidth, and flipped bits
//     are per path; a Write may arrive in pieces. Reordered and doubled segments are
//     not seen above TCP.
//   - F-N3: resets; blackholes, which make connections half-open; refused ports, a
//     full backlog, and hosts without free ports.
//   - F-N4: a reply is lost by BlockOneWay from the one who replies, or by a reset.
//   - F-N5: one port between two hosts is blocked, or the connections of one kind, as
//     whoever dialled has Marked them; the others work.
//   - F-P2: Kill resets what a process had open, PowerOff leaves its peers in the
//     dark. F-P4: Pause stops a process and not its connections.
//
// # Where it differs from a real one
//
// There are no keep-alive probes: an idle end of a half-open connection waits for
// ever. Room in the window is known to the sender at once. An address that nobody
// has ever used does not answer. Segments of one Write that fits have one arrival.
//
// Invariants:
//   - The bytes of a connection are read in the order in which they were written.
//   - Nothing of one incarnation of a host reaches another.
//   - Of a connection that both ends have left, nothing is kept.
//   - Nobody waits while the lock is held.
package network
