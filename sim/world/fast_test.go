package world

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ironman/sim/history"
	"ironman/sim/load"
)

// seedsOf is how many seeds the fast form runs, and from which one on.
func seedsOf(t *testing.T) (from, n int) {
	from, n = 1, 2
	if v := os.Getenv("IRONMAN_SIM_SEEDS"); v != "" {
		a, b, _ := strings.Cut(v, "+")
		var err1, err2 error
		from, err1 = strconv.Atoi(a)
		n, err2 = strconv.Atoi(b)
		if err1 != nil || err2 != nil {
			t.Fatalf("IRONMAN_SIM_SEEDS=%s is not FIRST+NUMBER", v)
		}
	}
	return from, n
}

func fastConfig(seed uint64) Config {
	c := Config{Seed: seed, Span: time.Minute, Clients: 3, Think: 100 * time.Millisecond, Log: os.Getenv("IRONMAN_SIM_LOG") != ""}
	if v := os.Getenv("IRONMAN_SIM_FAULTS"); v != "" {
		c.Faults = strings.Split(v, ",")
	}
	for name, d := range map[string]*time.Duration{"IRONMAN_SIM_SPAN": &c.Span, "IRONMAN_SIM_THINK": &c.Think} {
		if v := os.Getenv(name); v != "" {
			var err error
			if *d, err = time.ParseDuration(v); err != nil {
				panic(name + ": " + err.Error())
			}
		}
	}
	return c
}

// TestFast runs the world in bubbles of virtual time: the same code, faults and
// checks as the replayable form, but many times faster, under the race detector if the
// test is, and not repeatable.
func TestFast(t *testing.T) {
	if v := os.Getenv(SeedVariable); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		runBubble(t, seed)
		return
	}
	from, n := seedsOf(t)
	var fired []Fired
	done := make(map[string]int)
	for seed := from; seed < from+n; seed++ {
		r := runSeed(t, uint64(seed))
		if r == nil {
			continue
		}
		fired = AddFired(fired, r.Fired)
		for what, times := range r.Done {
			done[what] += times
		}
		for _, v := range r.Violations {
			t.Errorf("seed %d: %v %s: %s", seed, v.At, v.Checker, v.Text)
		}
		for _, v := range history.Judge(r.History, time.Minute) {
			t.Errorf("seed %d: C1: %s: %s", seed, v.Key, v.Text)
		}
		if r.Answered < int(fastConfig(0).Span/time.Second) {
			t.Errorf("seed %d: C7: only %d requests were answered", seed, r.Answered)
		}
		if missing := load.Missing(r.Done); len(missing) > 0 && fastConfig(0).Span >= time.Minute {
			t.Errorf("seed %d: C7: it never came to this: %q", seed, missing)
		}
	}
	for _, f := range fired {
		if f.Count > 0 {
			t.Logf("%-4s %8d  %s", f.ID, f.Count, f.Name)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(done)) {
		t.Logf("     %8d  %s", done[what], what)
	}
}

func runBubble(t *testing.T, seed uint64) {
	if name := os.Getenv("IRONMAN_SIM_PROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(*testing.T) {
		out := Outlets{}
		c := fastConfig(seed)
		if c.Log {
			out.Log = os.Stderr
		}
		if c.Trace = os.Getenv("IRONMAN_SIM_TRACE") != ""; c.Trace {
			out.Trace = func(line []byte) { _, _ = os.Stderr.Write(line) }
		}
		r := Run(c, out)
		b, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		fmt.Printf("REPORT %s\n", b)
		pprof.StopCPUProfile()
		os.Exit(0)
	})
}

func runSeed(t *testing.T, seed uint64) *Report {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), exe, "-test.run=^TestFast$", "-test.timeout=5m")
	c.Env = append(os.Environ(), SeedVariable+"="+strconv.FormatUint(seed, 10))
	c.Stderr = os.Stderr
	began := time.Now()
	b, err := c.Output()
	_, line, ok := strings.Cut(string(b), "REPORT ")
	if !ok {
		t.Errorf("seed %d: %v: %.4000s", seed, err, b)
		return nil
	}
	line, _, _ = strings.Cut(line, "\n")
	r := new(Report)
	if err := json.Unmarshal([]byte(line), r); err != nil {
		t.Errorf("seed %d: %v", seed, err)
		return nil
	}
	t.Logf("seed %d: %v virtual in %v, %d answers, %d events of the trace", seed, r.At.Round(time.Second), time.Since(began).Round(time.Millisecond), r.Answered, r.Traced)
	return r
}
