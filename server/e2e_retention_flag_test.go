package server_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ironman/server"
)

// TestRetentionCommands: an operator shows and changes retentions of a running node, and
// --history-mark and --history-floor reach it. No file system has so much to spare.
func TestRetentionCommands(t *testing.T) {
	p := newProcess(t)
	p.start("--history", "1h", "--history-mark", "1000TiB", "--history-floor", "0s", "--release-grace", "0s")
	c := p.client()
	c.must(t, 200, "PUT", "/early", nil)
	c.must(t, 200, "PUT", "/strict", nil)
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program(t), append([]string{"admin", "--admin", "http://" + p.admin, "--dir", p.dir}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run("history", "set", "strict", "1d12h", "--strict"); !strings.Contains(out, "1d12h0m0s") {
		t.Error(out)
	}
	var all server.Retentions
	if err := json.Unmarshal([]byte(run("--json", "history")), &all); err != nil || all.Cluster.Text != "1h0m0s" || len(all.Buckets) != 1 || !all.Buckets[0].Strict {
		t.Errorf("%+v, %v", all, err)
	}
	if out := run("status"); !strings.Contains(out, `"retention": "kept for ever"`) {
		t.Error(out)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.log.String(), "there is little free space"); {
		if time.Now().After(deadline) {
			t.Fatal(p.log.tail(1000))
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.stop()
	if err := p.tryStart("--history-mark", "a lot"); err == nil || !strings.Contains(p.log.tail(1000), "--history-mark") {
		t.Errorf("a mark of a lot: %v", err)
	}
}
