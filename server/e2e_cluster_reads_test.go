package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ironman/server"
	"ironman/server/audit"
)

// readsOf are the records that a node tells of, by the command line.
func (r *eraseRig) readsOf(i int, args ...string) (out []*audit.Read) {
	r.Helper()
	for line := range strings.Lines(r.mustRun(i, append([]string{"audit", "reads", "--json"}, args...)...)) {
		x := &audit.Read{}
		if err := json.Unmarshal([]byte(line), x); err != nil {
			r.Fatalf("%s: %v", line, err)
		}
		out = append(out, x)
	}
	return out
}

// verifyReads verifies a node's log of reads, by the command line.
func (r *eraseRig) verifyReads(i int) *server.VerifiedReads {
	r.Helper()
	v := &server.VerifiedReads{}
	if err := json.Unmarshal([]byte(r.mustRun(i, "audit", "reads", "verify", "--json", "--admin", "http://"+r.nodes[i].admin)), v); err != nil {
		r.Fatal(err)
	}
	return v
}

// awaitReads waits until a node has so many records, which the ledger knows.
func (r *eraseRig) awaitReads(i int, least uint64) (s server.Status) {
	r.Helper()
	r.await("reads are noted", func() error {
		s = server.Status{}
		if err := r.fetchAdmin(i, "/-/status", &s); err != nil {
			return err
		}
		if s.Reads == nil || s.Reads.Noted < least {
			return fmt.Errorf("node %d: %+v instead of %d records", i+1, s.Reads, least)
		}
		return nil
	})
	return s
}

// TestClusterReads: each node keeps the reads that it answered. One that is killed has what
// the ledger vouches for; what is left of it can be read and verified, in its directory, too;
// and an erasure by law reaches the logs of reads of all nodes, of one that was away, too,
// and changes no root.
func TestClusterReads(t *testing.T) {
	r := startErase(t, "--log-reads", "--log-reads-note", "100ms")
	c := r.clients[0]
	path := "/" + r.bucket + "/" + eraseKey
	c.must(t, 404, "GET", path, nil) // the name is in no event yet
	c.must(t, 200, "PUT", path, content(1, 100))
	c.must(t, 200, "PUT", "/"+r.bucket+"/"+eraseStays, content(2, 10))
	for i, c := range r.clients {
		for n := range 100 + 100*i {
			name := path
			if n%2 == 0 {
				name = "/" + r.bucket + "/" + eraseStays
			}
			c.must(t, 200, "GET", name, nil)
		}
		r.awaitReads(i, uint64(100+100*i+1))
	}
	if got := r.readsOf(1, "--key-name", eraseKey); len(got) != 100 || got[0].Status != 200 || got[0].Sent != 100 || got[0].Actor == "" {
		t.Fatalf("%d reads of the key", len(got))
	}
	if got := r.readsOf(0, "--key-name", eraseKey, "--refused"); len(got) != 1 || got[0].Code != "NoSuchKey" {
		t.Fatalf("%d refused reads of the key", len(got))
	}
	for i := range r.nodes {
		if v := r.verifyReads(i); v.Records < uint64(100+100*i+1) || v.Noted == 0 || v.Node != uint32(i+1) {
			t.Fatalf("node %d: %+v", i+1, v)
		}
	}

	r.others(260, 0, 1, 2) // so that a bundle of the ledger is full, which tells of the cluster

	// A node dies while it answers, and its directory tells.
	r.await("a bundle of the ledger", func() error {
		s := server.Status{}
		if err := r.fetchAdmin(2, "/-/status", &s); err != nil || s.Archived >= 256 {
			return err
		}
		return errors.New("none yet")
	})
	noted := r.awaitReads(2, 301).Reads.Noted
	r.nodes[2].kill()
	offline := r.mustRun(2, "audit", "reads", "verify", "--dir", r.nodes[2].dir)
	if !strings.HasPrefix(offline, "node 3: ") {
		t.Fatalf("verified: %s", offline)
	}
	if got := r.readsOf(2, "--dir", r.nodes[2].dir, "--prefix", "people/"); len(got) != 150 {
		t.Fatalf("%d reads in the directory", len(got))
	}
	// While it is away the key goes, by law.
	c.must(t, 204, "DELETE", path, nil)
	c.must(t, 404, "GET", path, nil)
	r.awaitReads(0, 103)
	r.others(20, 0, 1)
	r.forgotten(0)
	roots := [3]*server.VerifiedReads{}
	for i := range 2 {
		roots[i] = r.verifyReads(i)
	}
	r.mustRun(0, "audit", "erase", r.bucket, eraseKey, "--yes")
	r.nodes[2].start()
	s := r.awaitReads(2, noted+1)
	if s.Reads.SetBack || s.Reads.Records < noted+1 {
		t.Fatalf("%+v: %d were noted", s.Reads, noted)
	}
	r.await("every node has erased", func() error {
		if _, said, err := r.run(0, "audit", "erasures"); err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	})
	for i, erased := range []int{51 + 1, 100, 150} {
		r.gone(i)
		v := r.verifyReads(i)
		if roots[i] != nil && v.Records < roots[i].Records {
			t.Errorf("node %d: %d records, there were %d", i+1, v.Records, roots[i].Records)
		}
		left, said := 0, uint64(0)
		for _, x := range r.readsOf(i) {
			if x.Kind == "erased" {
				said += x.Records
			}
			if x.Erased > 0 {
				left++
				if x.Key != "" || x.Bucket != "" || x.Client != nil || x.Status == 0 || x.Actor == "" {
					t.Errorf("node %d, record %d: %+v", i+1, x.Record, x)
				}
			}
		}
		if left != erased || said != uint64(erased) {
			t.Errorf("node %d: %d records are erased, it says %d, instead of %d", i+1, left, said, erased)
		}
		if got := r.readsOf(i, "--key-name", eraseStays); len(got) != 50+50*i {
			t.Errorf("node %d: %d reads of what stays", i+1, len(got))
		}
	}

	// A byte of a stopped node's log is another.
	r.nodes[1].stop()
	file := filepath.Join(r.nodes[1].dir, "reads", "tile", "entries", "000")
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		file = filepath.Join(r.nodes[1].dir, "reads", "tail")
		b, err = os.ReadFile(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.mustRun(1, "audit", "reads", "verify", "--dir", r.nodes[1].dir)
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, said, err := r.run(1, "audit", "reads", "verify", "--dir", r.nodes[1].dir); err == nil || !strings.Contains(said, "first bad record") {
		t.Errorf("%v: %s", err, said)
	}
}
