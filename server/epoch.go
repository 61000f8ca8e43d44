package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ironman/wal"
	"ironman/wal/event"
)

// nextOrigin names the ledger of a cluster's next epoch, by the name that it has in this one.
func nextOrigin(cluster []byte, origin string) (string, error) {
	digits, ok := strings.CutPrefix(origin, "ironman/"+hex.EncodeToString(cluster)+"/")
	epoch, err := strconv.Atoi(digits)
	if !ok || err != nil || epoch < 1 || origin != ledgerOrigin(cluster, epoch) {
		return "", fmt.Errorf("server: %q is no origin of this cluster's ledger", origin)
	}
	return ledgerOrigin(cluster, epoch+1), nil
}

// epochLimit bounds how long the first event of an epoch may take.
const epochLimit = time.Minute

// epochElection is Raft's timeout of a node that is alone and serves nobody.
const epochElection = 100 * time.Millisecond

// beginEpoch opens log and state of a node that was planted, and nothing else, has the event
// agreed on that makes the node the whole cluster, and closes them in order.
func beginEpoch(ctx context.Context, o Options, id *identity, begun *event.EpochBegun) (err error) {
	o.Link, o.Dial, o.Join, o.Election = nil, nil, "", epochElection
	if err := o.complete(); err != nil {
		return err
	}
	n := &Node{opts: o, identity: id, stop: func() {}, closed: make(chan struct{})}
	defer func() { err = errors.Join(err, n.Close(context.WithoutCancel(ctx))) }()
	ctx, cancel := context.WithTimeout(ctx, epochLimit)
	defer cancel()
	n.streams = wal.NewStreams(raftID(id.Node), n.dialRaft)
	if err := n.openState(); err != nil {
		return err
	}
	if err := n.openLog(ctx); err != nil {
		return err
	}
	if err := n.log.Barrier(ctx); err != nil {
		return fmt.Errorf("server: the restored log does not settle: %w", err)
	}
	// All that this release knows is legal from here on: nodes of older ones are shut out.
	begun.FeatureLevel = event.FeatureLevel
	d := event.NewDraft(nil, &event.Statement_EpochBegun{EpochBegun: begun})
	a, err := n.agree(ctx, d)
	switch {
	case err != nil:
		return fmt.Errorf("server: the epoch does not begin: %w", err)
	case a.Outcome.Refusal != event.Refusal_REFUSAL_NONE:
		return fmt.Errorf("server: the epoch was refused: %s", a.Outcome.Refusal)
	case a.Outcome.Allocated != uint64(id.Node):
		return fmt.Errorf("server: the new node was given the number %d instead of %d", a.Outcome.Allocated, id.Node)
	}
	n.members.refresh() // and forgets, in its file, the nodes before
	return nil
}
