package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ironman/server/link"
	"ironman/wal/event"
)

// joinFormat is the version of what a joining node and the cluster tell each other.
const joinFormat = 1

// joinRequest is what a node that wants to join says of itself. Its key is the one
// it holds the connection with.
type joinRequest struct {
	Format       int    `json:"format"`
	Address      string `json:"address"` // of its link
	Version      string `json:"version"`
	FeatureLevel uint32 `json:"feature_level"`
	Time         int64  `json:"time"` // of its clock, nanoseconds since 1970
}

// joinAnswer makes a node one of the cluster. It holds the keyring: it travels only
// over the connection on which both sides have proved the join secret.
type joinAnswer struct {
	Format  int             `json:"format"`
	Node    uint32          `json:"node"`
	Cluster string          `json:"cluster"` // hexadecimal
	Keyring json.RawMessage `json:"keyring"`
	Members memberFile      `json:"members"`
}

// strictJSON decodes one JSON value of known fields.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil || d.More() {
		return event.ErrMalformed // the decoder's own words may quote a secret
	}
	return nil
}

// join makes this node a member of the cluster at Options.Join, unless it is one
// already. The key is durable before the cluster hears of it and the number is
// given to a key once, so that a join that was cut short goes on where it was.
func (n *Node) join(ctx context.Context) error {
	o := &n.opts
	o.Logger.Info("joining a cluster", "at", o.Join, "as", o.LinkAddress)
	b, err := n.askToJoin(ctx)
	if err != nil {
		return fmt.Errorf("server: joining the cluster at %s: %w", o.Join, err)
	}
	var a joinAnswer
	if err := strictJSON(b, &a); err != nil || a.Format != joinFormat || a.Node == 0 {
		return fmt.Errorf("server: joining the cluster at %s: its answer is not one that this release understands", o.Join)
	}
	if _, ok, err := (&identity{Cluster: a.Cluster}).clusterID(); err != nil || !ok {
		return fmt.Errorf("server: joining the cluster at %s: its id is damaged", o.Join)
	}
	if _, err := parseKeyring(a.Keyring); err != nil {
		return fmt.Errorf("server: joining the cluster at %s: keyring: %w", o.Join, err)
	}
	if err := writeDurably(o.FS, o.FS.PathJoin(o.Dir, "keyring.json"), a.Keyring); err != nil {
		return fmt.Errorf("server: keyring: %w", err)
	}
	if err := writeMembers(o.FS, o.FS.PathJoin(o.Dir, membersFile), a.Members); err != nil {
		return err
	}
	n.identity.Node, n.identity.Cluster = a.Node, a.Cluster
	return n.identity.write(o.FS, o.FS.PathJoin(o.Dir, "identity.json"))
}

// joinPause is how long a node waits before it asks again to join, joinTry how long it
// waits for an answer: nothing else tells that a connection has fallen silent.
const (
	joinPause = 500 * time.Millisecond
	joinTry   = 5 * time.Second
)

// askToJoin asks until the cluster answers: the node at the address may be starting,
// too. Asking twice is no harm.
func (n *Node) askToJoin(ctx context.Context) ([]byte, error) {
	o := &n.opts
	for tries := 0; ; tries++ {
		b, err := n.askToJoinOnce(ctx)
		var said *link.Error
		again := errors.Is(err, link.ErrUnreachable) || errors.Is(err, link.ErrLost) ||
			errors.As(err, &said) && (said.Code == codeNotServing || said.Code == link.CodeBusy)
		if err == nil || !again || ctx.Err() != nil {
			return b, err
		}
		if tries%20 == 0 {
			o.Logger.Info("the cluster cannot take this node in yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(joinPause):
		}
	}
}

// askToJoinOnce asks once, by what the clock says now.
func (n *Node) askToJoinOnce(ctx context.Context) ([]byte, error) {
	o := &n.opts
	request, err := json.Marshal(joinRequest{
		Format: joinFormat, Address: o.LinkAddress, Version: Version(), FeatureLevel: event.FeatureLevel, Time: o.Now().UnixNano(),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTry)
	defer cancel()
	return link.Join(ctx, link.JoinOptions{
		Dial: o.Dial, Address: o.Join, Key: n.identity.key, Secret: o.JoinSecret, Plain: o.LinkPlain, Request: request, Now: o.Now,
	})
}

// takeIn serves a node that has proved the join secret: it pins its key, gives it a
// number, and hands on what it needs.
func (n *Node) takeIn(ctx context.Context, key ed25519.PublicKey, request []byte) ([]byte, error) {
	var r joinRequest
	if err := strictJSON(request, &r); err != nil || r.Format != joinFormat {
		return nil, errors.New("the request to join is not one that this release understands")
	}
	if !n.serving.Load() {
		return nil, &link.Error{Code: codeNotServing, Text: "this node does not serve yet, or no more"}
	}
	if err := n.clockProblem(); err != nil {
		return nil, err
	}
	if off := n.opts.Now().UnixNano() - r.Time; off > int64(maxClockError) || off < -int64(maxClockError) {
		return nil, errors.New("the joining node's clock differs from this one's by more than " + maxClockError.String())
	}
	if r.Address == "" {
		return nil, errors.New("the joining node does not say where its link is")
	}
	c, err := n.cluster()
	if err != nil {
		return nil, err
	}
	if r.FeatureLevel < c.FeatureLevel {
		return nil, fmt.Errorf("the cluster is at feature level %d, the joining node's release (%s) knows %d", c.FeatureLevel, r.Version, r.FeatureLevel)
	}
	public, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	a, err := n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_NodeAdded{NodeAdded: &event.NodeAdded{
		PublicKey: public, LinkAddress: r.Address,
	}}))
	if err != nil {
		return nil, err
	}
	switch a.Outcome.Refusal {
	case event.Refusal_REFUSAL_NONE, event.Refusal_REFUSAL_EXISTS:
	case event.Refusal_REFUSAL_FEATURE_LEVEL:
		return nil, fmt.Errorf("the cluster is at feature level %d, at which no node can join: upgrade all of its nodes first", c.FeatureLevel)
	default:
		return nil, fmt.Errorf("the node was refused: %s", a.Outcome.Refusal)
	}
	if err := n.log.Barrier(ctx); err != nil { // so that this node knows the new one
		return nil, err
	}
	n.members.refresh()
	n.opts.Logger.Info("a node joins", "node", a.Outcome.Allocated, "address", r.Address, "release", r.Version)
	return n.joinAnswer(uint32(a.Outcome.Allocated), c.ClusterId)
}

func (n *Node) joinAnswer(node uint32, cluster []byte) ([]byte, error) {
	o := &n.opts
	keyring, err := readSecret(o.FS, o.FS.PathJoin(o.Dir, "keyring.json"), o.CheckModes)
	if err != nil {
		return nil, fmt.Errorf("server: keyring: %w", err)
	}
	return json.Marshal(joinAnswer{
		Format: joinFormat, Node: node, Cluster: hex.EncodeToString(cluster), Keyring: keyring, Members: n.members.table.Load().file(),
	})
}
