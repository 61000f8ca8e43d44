package link

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"

	"ironman/wal/digest"
)

// channel is a connection on which both sides have said hello.
type channel struct {
	raw    net.Conn
	conn   net.Conn // TLS over raw, or raw itself
	mine   *hello
	theirs *hello
}

// binding is what both ends of this very connection know, and no end of another one
// does: a join proof covers it.
func (c *channel) binding() ([]byte, error) {
	if t, ok := c.conn.(*tls.Conn); ok {
		s := t.ConnectionState()
		return s.ExportKeyingMaterial(exporterLabel, nil, digest.SHA256Size)
	}
	// Both sides hash the two nonces in the same order: they are told apart by value.
	a, b := c.mine.session[:], c.theirs.session[:]
	if string(a) > string(b) {
		a, b = b, a
	}
	sum := digest.SHA256([]byte(exporterLabel), a, b)
	return sum[:], nil
}

// secure puts TLS on a connection that was dialed or accepted, unless it is to stay
// plain, and completes the handshake.
func secure(raw net.Conn, plain, dialed bool, config *tls.Config) (net.Conn, error) {
	if plain {
		return raw, nil
	}
	conn := tls.Server(raw, config)
	if dialed {
		conn = tls.Client(raw, config)
	}
	// The caller closes raw when time is up.
	if err := conn.HandshakeContext(context.Background()); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return conn, nil
}

// readHello reads the other side's hello. Under TLS the key it names is the one that
// the handshake has proved.
func readHello(conn net.Conn) (*hello, error) {
	b, err := readMessage(conn, msgHello)
	if err != nil {
		return nil, err
	}
	h, err := parseHello(b)
	if err != nil {
		return nil, err
	}
	if t, ok := conn.(*tls.Conn); ok {
		s := t.ConnectionState()
		key, err := keyOf(&s)
		if err != nil {
			return nil, err
		}
		if !same(key, h.key[:]) {
			return nil, fmt.Errorf("%w: a hello with another key", errMalformed)
		}
	}
	return h, nil
}

// introduce makes this node's hello for a new connection.
func (l *Link) introduce(r role) *hello {
	h := &hello{
		role: r, node: l.opts.Self, boot: l.opts.Boot, cluster: l.opts.Cluster, start: l.nonce,
		window: uint32(l.opts.Window), calls: uint32(l.opts.MaxCalls), streams: uint32(l.opts.MaxStreams),
	}
	if r == roleJoin { // a stranger learns nothing about the cluster
		h.node, h.boot, h.cluster, h.start = 0, 0, [16]byte{}, [nonceBytes]byte{}
	}
	copy(h.key[:], l.opts.Key.Public().(ed25519.PublicKey))
	rand.Read(h.session[:]) // never fails (crypto/rand)
	return h
}

// judge tells why the node that says h must not be let in; nil if it may be, and
// then its start is remembered.
func (l *Link) judge(h *hello) *Error {
	member, ok := l.opts.Peer(h.node)
	switch {
	case !ok || !same(member.Key, h.key[:]):
		return &Error{Node: h.node, Code: CodeNotMember, Text: fmt.Sprintf("there is no member with number %d and this key", h.node)}
	case h.cluster != l.opts.Cluster:
		return &Error{Node: h.node, Code: CodeOtherCluster, Text: fmt.Sprintf("node %d and node %d belong to different clusters", l.opts.Self, h.node)}
	case h.node == l.opts.Self:
		return &Error{Node: h.node, Code: CodeClone, Text: fmt.Sprintf("this is node %d itself, or a clone of it", h.node)}
	case h.boot < member.Boot:
		return &Error{Node: h.node, Code: CodeStale, Text: fmt.Sprintf("start %d of node %d is not its newest, which is %d: it is a clone or was restored from a backup", h.boot, h.node, member.Boot)}
	}
	return l.peer(h.node).admit(h)
}
