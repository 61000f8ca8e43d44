package sim

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ironman/sim/world"
)

const (
	replayEnv = "IRONMAN_SIM_REPLAY"
	moduleEnv = "IRONMAN_SIM_MODULE"
)

func replayConfig(seed uint64) world.Config {
	return world.Config{Seed: seed, Span: 10 * time.Second, Clients: 3, Think: 150 * time.Millisecond, Latency: true}
}

// TestMain lets the test be a process that runs seeds and prints their hashes.
func TestMain(m *testing.M) {
	if os.Getenv(replayEnv) == "" {
		os.Exit(m.Run())
	}
	if err := printHashes(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const replaySeeds = 5

// replayed are the runs of each process: some seeds with all faults, a short one with
// TLS between nodes, and one in which members come and go.
func replayed() (all []world.Config) {
	for seed := uint64(1); seed <= replaySeeds; seed++ {
		all = append(all, replayConfig(seed))
	}
	secret := replayConfig(1)
	secret.TLS, secret.Span = true, 4*time.Second
	change := replayConfig(2)
	change.Faults = []string{"R1", "R2", "P2", "N1"}
	return append(all, secret, change)
}

func printHashes() error {
	ctx := context.Background()
	module := os.Getenv(moduleEnv)
	m, err := Open(ctx, os.DirFS(filepath.Dir(module)), filepath.Base(module), filepath.Join(filepath.Dir(module), "sim-cache"))
	if err != nil {
		return err
	}
	defer m.Close(ctx)
	for _, c := range replayed() {
		r := m.RunAndJudge(ctx, c, Watch{Log: os.Stderr})
		if r.Err != nil {
			return r.Err
		}
		for _, v := range r.Report.Violations {
			return fmt.Errorf("seed %d: %v %s: %s", c.Seed, v.At, v.Checker, v.Text)
		}
		fmt.Println(c.Seed, r.Report.Hash, r.Report.Traced, r.Report.Answered)
	}
	return nil
}

// buildModule builds the module, or takes the one that the environment names.
func buildModule(t *testing.T) string {
	t.Helper()
	if m := os.Getenv(moduleEnv); m != "" {
		return m
	}
	out, err := filepath.Abs("../bin/sim.wasm")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "./sim/build.sh", "-o", out, "./sim/guest")
	c.Dir = ".."
	if b, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return out
}

// TestReplay makes the same runs in each of two processes: every event of every run is
// the same.
func TestReplay(t *testing.T) {
	module := buildModule(t)
	run := func() string {
		c := exec.CommandContext(t.Context(), os.Args[0])
		c.Env = append(os.Environ(), replayEnv+"=1", moduleEnv+"="+module)
		var errs strings.Builder
		c.Stderr = &errs
		b, err := c.Output()
		if err != nil {
			t.Errorf("%v: %s%s", err, b, errs.String())
		}
		return string(b)
	}
	first := run() // compiles the module, for the second too
	if t.Failed() {
		return
	}
	second := run()
	if first != second {
		t.Errorf("the same seeds are not the same runs:\n%s\n%s", first, second)
	}
	if n := strings.Count(first, "\n"); n != len(replayed()) {
		t.Errorf("%d seeds ran: %s", n, first)
	}
	t.Logf("seed, hash, events, answers:\n%s", first)
}
