package main

import (
	"slices"
	"testing"

	"ironman/server"
)

// TestDisksMissing: what no removed node had is not among the lost blobs, and is told of.
func TestDisksMissing(t *testing.T) {
	nodes := []server.NodeState{{Node: 1, Disks: 2, Connected: true}, {Node: 2, Disks: 3, Connected: true}, {Node: 3, Disks: 1}, {Node: 4, Disks: 1, Connected: true}, {Node: 5}}
	got := missingOf(nodes, map[uint32]*server.Status{
		1: {Node: 1, Disks: []server.DiskStatus{{Number: 1}, {Number: 2, Slot: 1, Failure: "it does not answer"}}},
		2: {Node: 2, Disks: []server.DiskStatus{{Number: 3}}},
	})
	want := []string{
		"node 1: disk 2 (slot 1) has failed: it does not answer",
		"node 2: 2 of its 3 disks are missing",
		"node 3 is not connected: its disks (1) count as there",
		"node 4 was not asked for its disks (1): name its admin listener, too",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q instead of %q", got, want)
	}
	if got := missingOf(nodes[:1], map[uint32]*server.Status{1: {Node: 1, Disks: []server.DiskStatus{{Number: 1}, {Number: 2}}}}); got != nil {
		t.Errorf("all are there: %q", got)
	}
}
