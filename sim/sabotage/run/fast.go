package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ironman/sim"
	"ironman/sim/sabotage"
	"ironman/sim/world"
)

// Names of tiers, cheapest first.
const (
	tierL0     = "l0"
	tierFast   = "fast"
	tierReplay = "replay"
)

// cpuLimit is how much time of the processor a tier may spend on one wrong change.
const cpuLimit = 10 * time.Minute

// bubbleLimit is how long the process of a seed may take; that it does not end shows
// nothing.
const bubbleLimit = 3 * time.Minute

// fast is the tier L1-fast: the world in bubbles of virtual time (world.TestFast). It
// does not repeat, so that the number of seeds varies a little.
func (w *workshop) fast(most int) *seeds {
	return &seeds{name: tierFast, run: w.bubble, most: most, limit: cpuLimit, innocent: make(map[uint64]error)}
}

// bubble runs a seed in a process of its own.
func (w *workshop) bubble(ctx context.Context, seed uint64, id sabotage.ID) (o outcome, err error) {
	binary, err := w.build(ctx, "sim-world.test", "test", "-c", "./sim/world")
	if err != nil {
		return o, fmt.Errorf("it cannot be compiled: %w", err)
	}
	c := exec.CommandContext(ctx, binary, "-test.run", "^TestFast$")
	c.Dir = filepath.Join(w.root, "sim/world")
	c.Env = append(os.Environ(), world.SeedVariable+"="+strconv.FormatUint(seed, 10), sabotage.Variable+"="+string(id))
	out, said, failed, err := o.process(c, bubbleLimit, id)
	if err != nil {
		return o, err
	}
	line := report.FindSubmatch(out)
	if line == nil {
		o.panicked = panicked(string(said) + "\n" + string(out))
		if o.panicked == "" {
			err = fmt.Errorf("it ended without a report: %w: %.300s", failed, said)
		}
		return o, err
	}
	r := new(world.Report)
	if err := json.Unmarshal(line[1], r); err != nil {
		return o, fmt.Errorf("its report: %w", err)
	}
	sim.Judge(r, world.Config{Span: time.Minute})
	o.violations = r.Violations
	return o, nil
}

var (
	report = regexp.MustCompile(`(?m)^REPORT (.*)$`)
	// A panic of the code under trial, not of the frame around it: a bubble in which
	// nobody can go on, or a test that takes too long.
	panics = regexp.MustCompile(`(?m)^(panic|fatal error): (.*)$`)
)

// panicked is the line by which a process says why it ended; "" if it says nothing that
// a wrong change may have to do with.
func panicked(said string) string {
	m := panics.FindString(said)
	for _, other := range []string{"test timed out", "out of memory", "deadlock"} {
		if strings.Contains(m, other) {
			return ""
		}
	}
	return m
}
