package link

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"ironman/s3api/sig"
	"ironman/wal/digest"
)

// The joining side proves first that it knows the join secret: whoever scans the port
// learns nothing that could be used to guess it. The proofs cover what is unique to
// the connection, so they are worthless on any other one, and the sides have
// different labels, so that a proof cannot be sent back.
const (
	joinerLabel  = "ironman/link/join/joiner/1\x00"
	clusterLabel = "ironman/link/join/cluster/1\x00"
)

const (
	// joinSlots is how many may join, or have just failed to, at the same time.
	joinSlots = 4
	// A failed attempt keeps its slot for a while, longer each time.
	penaltyMin = 100 * time.Millisecond
	penaltyMax = 10 * time.Second
	// joinTime is how long the cluster may take to admit a node.
	joinTime = 30 * time.Second
)

// prove computes the proof of one side.
func prove(secret sig.Secret, label string, binding, joiner, cluster []byte) []byte {
	m := hmac.New(digest.NewSHA256, secret.Reveal())
	m.Write([]byte(label))
	m.Write(binding)
	m.Write(joiner)
	m.Write(cluster)
	return m.Sum(nil)
}

// gate limits how many and how often nodes may try to join.
type gate struct {
	mu       sync.Mutex
	taken    int           // invariant: 0 <= taken <= joinSlots
	failures int           // in a row
	failed   time.Duration // uptime of the last one
}

// enter takes a slot; false if there is none.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken == joinSlots {
		return false
	}
	g.taken++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
}

// judged counts an attempt and returns for how long its slot stays taken.
func (g *gate) judged(right bool, now time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if right || now-g.failed > 10*penaltyMax {
		g.failures = 0
	}
	if right {
		return 0
	}
	g.failed = now
	penalty := min(penaltyMin<<min(g.failures, 16), penaltyMax)
	g.failures++
	return penalty
}

// welcome lets a stranger join, if it can prove that it may.
func (l *Link) welcome(c *channel, timer *time.Timer) error {
	secret := l.opts.JoinSecret
	if l.opts.Join == nil || len(secret.Reveal()) == 0 {
		return turnAway(c, CodeNoJoin, "nobody may join this cluster here: the node was started without a join secret")
	}
	if err := writeMessage(c.conn, msgHello, c.mine.encode()); err != nil {
		return err
	}
	proof, err := readMessage(c.conn, msgProof)
	if err != nil {
		return err
	}
	if !l.gate.enter() {
		return turnAway(c, CodeBusy, "too many nodes are joining or have failed to: try again later")
	}
	binding, err := c.binding()
	if err != nil {
		l.gate.leave()
		return err
	}
	joiner, cluster := c.theirs.key[:], c.mine.key[:]
	right := hmac.Equal(proof, prove(secret, joinerLabel, binding, joiner, cluster))
	if penalty := l.gate.judged(right, l.uptime()); !right {
		time.AfterFunc(penalty, l.gate.leave)
		return turnAway(c, CodeSecret, "the join secret is not that of this cluster")
	}
	defer l.gate.leave()
	if err := writeMessage(c.conn, msgProof, prove(secret, clusterLabel, binding, joiner, cluster)); err != nil {
		return err
	}
	return l.admit(c, timer)
}

// admit asks the cluster to take in a node that has proved that it may join.
func (l *Link) admit(c *channel, timer *time.Timer) error {
	request, err := readMessage(c.conn, msgJoin)
	if err != nil {
		return err
	}
	timer.Reset(joinTime + l.opts.Handshake)
	ctx, cancel := l.within(joinTime)
	defer cancel()
	key := ed25519.PublicKey(c.theirs.key[:])
	answer, err := l.opts.Join(ctx, key, request)
	if err == nil && len(answer) > MaxCall {
		err = fmt.Errorf("an answer of %d bytes is too large for the link", len(answer))
	}
	if err != nil {
		refuse(c.conn, asError(err))
		return err
	}
	l.log.Info("link: a node has joined", "address", c.raw.RemoteAddr())
	return writeMessage(c.conn, msgJoined, answer)
}

func turnAway(c *channel, code Code, text string) error {
	e := &Error{Code: code, Text: text}
	refuse(c.conn, e)
	return e
}

// JoinOptions are what a node without a cluster needs to join one.
type JoinOptions struct {
	Dial    func(ctx context.Context, address string) (net.Conn, error)
	Address string             // of any member
	Key     ed25519.PrivateKey // of the new node, which the cluster will pin
	Secret  sig.Secret
	Plain   bool
	Request []byte // for the cluster's Options.Join
	Now     func() time.Time
}

// Join asks a cluster to take in this node and returns what its Options.Join
// answered. Both sides have proved by then that they know the join secret. The
// error is ErrUnreachable if nothing was asked yet; ErrNotProven; an *Error with
// what the cluster said; or ErrLost: then asking again with the same key is safe if
// the cluster's Join makes it so.
func Join(ctx context.Context, o JoinOptions) ([]byte, error) {
	if o.Dial == nil || len(o.Key) != ed25519.PrivateKeySize || o.Now == nil {
		return nil, errors.New("link: incomplete options")
	}
	if n := len(o.Secret.Reveal()); n < MinJoinSecret {
		return nil, fmt.Errorf("link: a join secret needs at least %d bytes", MinJoinSecret)
	}
	if len(o.Request) > MaxHead {
		return nil, fmt.Errorf("%w: a request of %d bytes", ErrTooLarge, len(o.Request))
	}
	raw, err := o.Dial(ctx, o.Address)
	if err != nil {
		return nil, fmt.Errorf("%s %w: %w", o.Address, ErrUnreachable, err)
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	c, err := o.prove(raw)
	if err != nil {
		return nil, o.explain(ctx, ErrUnreachable, err)
	}
	var answer []byte
	if err = writeMessage(c.conn, msgJoin, o.Request); err == nil {
		answer, err = readMessage(c.conn, msgJoined)
	}
	if err != nil {
		return nil, o.explain(ctx, ErrLost, err)
	}
	return answer, nil
}

// explain adds to an error of the connection what it means for the request.
func (o *JoinOptions) explain(ctx context.Context, kind, err error) error {
	var said *Error
	if errors.As(err, &said) || errors.Is(err, ErrNotProven) || errors.Is(err, ErrNewer) {
		return err
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%s %w: %w", o.Address, kind, err)
}

// prove makes a connection whose other end knows the join secret, and knows that
// this one does.
func (o *JoinOptions) prove(raw net.Conn) (*channel, error) {
	cert, err := certificate(o.Key)
	if err != nil {
		return nil, err
	}
	conn, err := secure(raw, o.Plain, true, tlsConfig(cert, o.Now, anyKey))
	if err != nil {
		return nil, err
	}
	// A link that is nobody yet.
	l := &Link{opts: Options{Key: o.Key, Window: 1, MaxCalls: 1, MaxStreams: 1}}
	c := &channel{raw: raw, conn: conn, mine: l.introduce(roleJoin)}
	if err := writeMessage(conn, msgHello, c.mine.encode()); err != nil {
		return nil, err
	}
	if c.theirs, err = readHello(conn); err != nil {
		return nil, err
	}
	if c.theirs.role != roleJoin {
		return nil, fmt.Errorf("%w: a hello of role %d", errMalformed, c.theirs.role)
	}
	binding, err := c.binding()
	if err != nil {
		return nil, err
	}
	joiner, cluster := c.mine.key[:], c.theirs.key[:]
	if err := writeMessage(conn, msgProof, prove(o.Secret, joinerLabel, binding, joiner, cluster)); err != nil {
		return nil, err
	}
	proof, err := readMessage(conn, msgProof)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(proof, prove(o.Secret, clusterLabel, binding, joiner, cluster)) {
		return nil, ErrNotProven
	}
	return c, nil
}
