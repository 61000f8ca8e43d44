package server

import (
	"context"
	"encoding/json"
)

// A node that was away while another joined does not know that one, and lets it not in.
// If just that one leads, nothing comes from it, not even the entry by which it joined.
// So a node that knows of no leader, and is behind another member, asks that who the
// members are.

// serveMembers tells another member who the members are.
func (n *Node) serveMembers(context.Context, uint32, []byte) ([]byte, error) {
	return json.Marshal(n.members.table.Load().file())
}

// askWhoIsThere asks a member that has applied next events, if this node needs to know.
func (n *Node) askWhoIsThere(ctx context.Context, node uint32, next uint64) error {
	if _, known := n.log.Leader(); known || next <= n.machine.Applied().Next {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, beaconLimit)
	defer cancel()
	b, err := n.link.Load().Call(ctx, node, methodMembers, nil)
	if err != nil {
		return err
	}
	return n.members.learn(b)
}
