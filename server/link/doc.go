// Package link carries bytes between the nodes of a cluster: calls (one request,
// one answer) and streams (a net.Conn each, with flow control). It knows node
// numbers, node keys, methods and how to reach a node; it knows nothing of Raft,
// events, shards, or what a request means.
//
// A node dials at most two connections to each other node: one for control
// methods, one for bulk methods (Method says which is which), so that a heartbeat
// never waits behind the body of a shard. A session is one such connection; the
// node that dialed it opens calls and streams on it, the other one answers. It is
// dialed when first needed, kept, and dialed again after a loss as long as the
// other node is a member. So between two nodes there are up to four connections,
// two dialed by each.
//
// On a session, whoever has a frame copies it into an outbox and goes on; one
// goroutine writes what has come together. Frames that keep a session alive (pings,
// credit, cancellations) go first. One goroutine reads, and never waits for
// anything but the connection: how many calls and streams may be open at once, and
// how many bytes a stream may be ahead of its reader, is agreed when the session
// begins, and a peer that exceeds it is cut off.
//
// Invariants:
//   - Nobody but a member is ever served: the key that the other side holds is
//     compared with the pinned one when a session begins and again about every
//     second. A stranger can do one thing: prove that it knows the join secret.
//   - ErrUnreachable means that no byte of the request was given to a connection.
//   - Nothing waits for ever: calls have a deadline, which travels with them;
//     streams have the deadlines of net.Conn; a session that is silent is closed.
//   - A length read from the network is checked before memory is set aside for it.
//   - A stream ends in io.EOF only if the other side said so.
//   - No goroutine outlives Close.
//   - A panic in a CallFunc or StreamFunc is not caught: it is a fault of this node,
//     and what it left half done must not go on.
package link
