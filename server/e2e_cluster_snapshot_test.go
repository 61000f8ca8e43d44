package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ironman/server"
)

// TestClusterSnapshot: a node was away for so long that the others hold its part of
// the log no more. It is sent a snapshot, starts anew by itself, fetches what its
// ledger lacks, and is then equal to the others: in state, root, and archive.
func TestClusterSnapshot(t *testing.T) {
	t.Parallel()
	c := startTrio(t, "--snapshot-entries", "100", "--log-segment-bytes", "65536")
	c.clients[0].must(t, 200, "PUT", "/away", nil)
	installed := make(map[int]int) // how often each node came back by a snapshot
	for n := range rounds(1, 2, 6) {
		victim := others(c.leader(all()...))[n%2]
		c.nodes[victim].kill()
		stay := others(victim)
		for i := range 700 {
			c.clients[stay[i%2]].must(t, 200, "PUT", fmt.Sprintf("/away/%d-%d", n, i), content(uint64(i), 100))
		}
		c.await("the log is truncated", func() error {
			for _, i := range stay {
				if names, err := filepath.Glob(filepath.Join(c.nodes[i].dir, "wal", "snapshots", "0*")); err != nil || len(names) == 0 {
					return errors.Join(fmt.Errorf("node %d has no snapshot", i+1), err)
				}
			}
			return nil
		})
		c.nodes[victim].start()
		c.settled()
		c.agree(all()...)
		// Mostly one is enough. While it is installed the others may go on and take their
		// next one; that they always do would be a loop.
		had := installed[victim]
		installed[victim] = strings.Count(c.nodes[victim].log.String(), "the state of a snapshot was put in place")
		if n := installed[victim] - had; n < 1 || n > 3 {
			t.Errorf("node %d came back by %d snapshots:\n%s", victim+1, n, c.nodes[victim].log.tail(3000))
		}
		for i := range 700 {
			if i%7 != 0 {
				continue
			}
			got := c.clients[victim].must(t, 200, "GET", fmt.Sprintf("/away/%d-%d", n, i), nil)
			if !bytes.Equal(got.body, content(uint64(i), 100)) {
				t.Fatalf("object %d-%d has other bytes", n, i)
			}
		}
	}
	c.sameArchives()
}

// sameArchives waits until all nodes have archived the same events, and compares the
// files: whole bundles and tiles are equal byte for byte, whoever wrote them.
func (c *trio) sameArchives() {
	c.Helper()
	var size uint64
	c.await("equal archives", func() error {
		for i := range c.nodes {
			var s server.Status
			if err := c.fetchAdmin(i, "/-/status", &s); err != nil {
				return err
			}
			if want := s.Events / 256 * 256; s.Archived != want || s.Archived == 0 {
				return fmt.Errorf("node %d has archived %d of %d events", i+1, s.Archived, s.Events)
			}
			size = s.Archived
		}
		return nil
	})
	if size < 512 {
		c.Errorf("only %d events are archived", size)
	}
	compared := 0
	root := filepath.Join(c.nodes[0].dir, "wal", "ledger")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "tile") {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := 1; i < 3; i++ {
			got, err := os.ReadFile(filepath.Join(c.nodes[i].dir, "wal", "ledger", name))
			if err != nil {
				return err
			}
			if !bytes.Equal(got, want) {
				c.Errorf("%s of node %d differs from node 1's", name, i+1)
			}
		}
		compared++
		return nil
	})
	if err != nil || compared < 3 {
		c.Errorf("%d files were compared, %v", compared, err)
	}
}
