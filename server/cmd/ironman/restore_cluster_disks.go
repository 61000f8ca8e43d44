package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"ironman/server"
)

// Lost are only blobs whose shards are on disks of nodes that were removed. What a disk had
// that failed, or is missing, under a node that is still a member, heals from other disks if
// it can; if it cannot, nothing here brings it back before the node is removed.

// disksMissing asks every address for its disks, and says which are not there.
func disksMissing(ctx context.Context, s *feedSource) []string {
	var nodes []server.NodeState
	if err := s.exchange(ctx, http.MethodGet, "/-/nodes", url.Values{}, &nodes); err != nil {
		return []string{fmt.Sprintf("which disks are missing is not known: %v", err)}
	}
	asked := make(map[uint32]*server.Status)
	for i := range s.addresses {
		own := *s
		own.addresses, own.at = s.addresses[i:i+1], 0
		status := &server.Status{}
		if own.exchangeOnce(ctx, http.MethodGet, "/-/status", nil, status) == nil {
			asked[status.Node] = status
		}
	}
	return missingOf(nodes, asked)
}

// missingOf compares the disks that the cluster has with those that nodes say they have.
func missingOf(nodes []server.NodeState, asked map[uint32]*server.Status) (out []string) {
	for _, n := range nodes {
		s := asked[n.Node]
		if s == nil {
			switch {
			case n.Disks == 0:
			case !n.Connected:
				out = append(out, fmt.Sprintf("node %d is not connected: its disks (%d) count as there", n.Node, n.Disks))
			default:
				out = append(out, fmt.Sprintf("node %d was not asked for its disks (%d): name its admin listener, too", n.Node, n.Disks))
			}
			continue
		}
		there := 0
		for _, d := range s.Disks {
			if d.Failure != "" {
				out = append(out, fmt.Sprintf("node %d: disk %d (slot %d) has failed: %s", n.Node, d.Number, d.Slot, d.Failure))
			}
			there++
		}
		if there < n.Disks {
			out = append(out, fmt.Sprintf("node %d: %d of its %d disks are missing", n.Node, n.Disks-there, n.Disks))
		}
	}
	return out
}
