package network

import "time"

// Kind of an Event.
type Kind uint8

// The kinds. A connection is Opened where it was dialled, and Accepted at the other
// side. Changed is any change of a path, a refusal or an exhaustion.
const (
	Dialled Kind = iota
	Refused
	Unanswered
	Opened
	Accepted
	Delivered
	Ended // EOF was read
	Closed
	Broken // ECONNRESET
	TimedOut
	Blackholed
	Corrupted
	Blocked
	Healed
	Clogged
	Unclogged
	Killed
	PoweredOff
	Booted
	Paused
	Resumed
	Changed
)

// String returns one word.
func (k Kind) String() string {
	return [...]string{
		Dialled: "dialled", Refused: "refused", Unanswered: "unanswered", Opened: "opened",
		Accepted: "accepted", Delivered: "delivered", Ended: "ended", Closed: "closed",
		Broken: "broken", TimedOut: "timed-out", Blackholed: "blackholed", Corrupted: "corrupted",
		Blocked: "blocked", Healed: "healed", Clogged: "clogged", Unclogged: "unclogged",
		Killed: "killed", PoweredOff: "powered-off", Booted: "booted", Paused: "paused",
		Resumed: "resumed", Changed: "changed",
	}[k]
}

// Event is something that has taken effect. Conn is 0 where it concerns no
// connection; the end that Closed, Broken and TimedOut happened to is From. Bytes
// and Sum are of what was Delivered; Corrupted has Bytes, and Blocked has in it what
// was blocked: 1 one way, 2 both ways, or the port.
type Event struct {
	At       time.Duration // since the network was made
	Kind     Kind
	From, To string
	Conn     uint64
	Bytes    int
	Sum      uint64
}

func (n *Network) tell(e Event) {
	if n.o.Observe != nil {
		e.At = n.now()
		n.o.Observe(e)
	}
}

// tellOf tells of something that happened to an end of a connection.
func (n *Network) tellOf(k Kind, e *end, bytes int) {
	n.tell(Event{Kind: k, From: e.host.name, To: e.peer.host.name, Conn: e.link.id, Bytes: bytes})
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
	summed    = 64
)

// sum is FNV-1a over the first 64 bytes and the length: enough to tell histories
// apart, and cheap.
func sum(b []byte) uint64 {
	h := uint64(fnvOffset)
	for _, c := range b[:min(len(b), summed)] {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return (h ^ uint64(len(b))) * fnvPrime
}
