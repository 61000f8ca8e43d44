package link

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"ironman/s3api/sig"
)

// Method names what a call or a stream is for. Methods below Bulk are control
// methods, the others bulk methods: each class has a connection of its own.
type Method byte

// Bulk is the first of the bulk methods.
const Bulk Method = 0x80

func (m Method) class() class {
	if m >= Bulk {
		return bulk
	}
	return control
}

// class is control or bulk; it indexes arrays.
type class int

const (
	control class = iota
	bulk
	classes = 2
)

func (c class) String() string { return [classes]string{"control", "bulk"}[c] }

// CallFunc answers calls of one method. ctx ends with the caller's deadline, when
// the caller gives up, and with the session. The request belongs to the function;
// the answer is not used after it was sent. An *Error in the chain of err gives the
// caller its code and text.
type CallFunc func(ctx context.Context, from uint32, request []byte) ([]byte, error)

// StreamFunc takes over a stream that another node opened. The stream is its own
// from then on: it must close or reset it, before it returns or later.
type StreamFunc func(from uint32, head []byte, s *Stream)

// Peer is what membership says of a node.
type Peer struct {
	Node    uint32
	Address string
	Key     ed25519.PublicKey
	// Boot is the newest start of the node that is known to the cluster: older ones
	// are refused.
	Boot uint64
}

// Options of a Link.
type Options struct {
	Self    uint32
	Key     ed25519.PrivateKey
	Cluster [16]byte
	// Boot counts the starts of this node; it has risen durably before Open.
	Boot uint64

	Listener net.Listener // closed by Close
	Dial     func(ctx context.Context, address string) (net.Conn, error)
	// Plain leaves out TLS: a node is then who it says it is. For simulation only.
	Plain bool
	// Peer is the current membership. It is asked whenever a session begins and
	// every Recheck for those that live; it must be quick and safe for concurrent use.
	Peer func(node uint32) (Peer, bool)

	// Calls and Streams are what other nodes may ask of this one; not changed after Open.
	Calls   map[Method]CallFunc
	Streams map[Method]StreamFunc
	// Join admits a node whose key is not known yet, after it has proved that it
	// knows JoinSecret. Without both nobody may join.
	Join       func(ctx context.Context, key ed25519.PublicKey, request []byte) ([]byte, error)
	JoinSecret sig.Secret

	Now    func() time.Time // for measuring clocks, and for nothing else
	Logger *slog.Logger

	// Timeouts; 0: the default.
	Handshake time.Duration // a connection must be made and agreed on in this time
	Ping      time.Duration // between two pings of a session
	Silence   time.Duration // a session without answer for so long is closed
	Recheck   time.Duration // between two looks at the membership
	Timeout   time.Duration // of a call whose context has no deadline
	Backoff   time.Duration // at most, between two attempts to reach a node

	// Limits of one session, told to the other side; 0: the default.
	MaxCalls   int // calls that this node serves at once
	MaxStreams int // streams that others may have open to this node
	Window     int // bytes that a stream may be ahead of its reader
}

// Defaults of Options.
const (
	DefaultHandshake  = 5 * time.Second
	DefaultPing       = time.Second
	DefaultSilence    = 5 * time.Second
	DefaultRecheck    = time.Second
	DefaultTimeout    = 10 * time.Second
	DefaultBackoff    = time.Second
	DefaultMaxCalls   = 1024
	DefaultMaxStreams = 1024
	DefaultWindow     = 256 << 10
)

// MinJoinSecret is the length of the shortest join secret that is accepted: what a
// node sends to prove its knowledge must not be open to guessing.
const MinJoinSecret = 16

func (o *Options) complete() error {
	if o.Listener == nil || o.Dial == nil || o.Peer == nil || o.Now == nil || o.Self == 0 {
		return errors.New("link: incomplete options")
	}
	if len(o.Key) != ed25519.PrivateKeySize {
		return errors.New("link: the node has no key")
	}
	if n := len(o.JoinSecret.Reveal()); n != 0 && n < MinJoinSecret {
		return fmt.Errorf("link: a join secret needs at least %d bytes", MinJoinSecret)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&o.Handshake, DefaultHandshake}, {&o.Ping, DefaultPing}, {&o.Silence, DefaultSilence},
		{&o.Recheck, DefaultRecheck}, {&o.Timeout, DefaultTimeout}, {&o.Backoff, DefaultBackoff},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	for _, d := range []struct {
		value         *int
		standard, max int
	}{
		{&o.MaxCalls, DefaultMaxCalls, limitMax}, {&o.MaxStreams, DefaultMaxStreams, limitMax}, {&o.Window, DefaultWindow, windowMax},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
		*d.value = min(*d.value, d.max)
	}
	return nil
}
