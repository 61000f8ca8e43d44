package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"ironman/sim"
	"ironman/sim/sabotage"
	"ironman/sim/world"
)

// guestLimit is how long the process of a seed may take.
const guestLimit = 10 * time.Minute

// replay is the tier L1-replay: the world as a wasip1 module, where the same seed is the
// same history. `ironman sim --sabotage` shows what it finds.
func (w *workshop) replay(most int) *seeds {
	return &seeds{name: tierReplay, run: w.guest, most: most, limit: cpuLimit, innocent: make(map[uint64]error)}
}

const moduleName = "sim.wasm"

// guest runs a seed in the module, which a process of its own does: one that does not
// end can be ended.
func (w *workshop) guest(ctx context.Context, seed uint64, id sabotage.ID) (o outcome, err error) {
	if err := w.buildModule(ctx); err != nil {
		return o, err
	}
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	c := exec.CommandContext(ctx, self, guestCommand, w.dir, strconv.FormatUint(seed, 10), string(id))
	out, said, failed, err := o.process(c, guestLimit, id)
	if err != nil {
		return o, err
	}
	var end guestEnd
	if err := json.Unmarshal(out, &end); err != nil {
		return o, fmt.Errorf("%w: %w: %.300s", failed, err, said)
	}
	o.violations = end.Violations
	if end.Error != "" {
		if o.panicked = panicked(string(said)); o.panicked == "" {
			return o, fmt.Errorf("%s", end.Error)
		}
	}
	return o, nil
}

// buildModule builds the module under the tag, once.
func (w *workshop) buildModule(ctx context.Context) error {
	err, done := w.built[moduleName]
	if !done {
		c := exec.CommandContext(ctx, "./sim/build.sh", "-tags", "sabotage", "-o", filepath.Join(w.dir, moduleName), "./sim/guest")
		c.Dir = w.root
		if out, failed := c.CombinedOutput(); failed != nil {
			err = fmt.Errorf("the module cannot be compiled: %w: %s", failed, bytes.TrimSpace(out))
		}
		w.built[moduleName] = err
	}
	return err
}

// guestCommand is the first argument of a process that runs one seed of the module.
const guestCommand = "guest"

// guestEnd is what it prints.
type guestEnd struct {
	Violations []world.Violation
	Error      string
}

// guestProcess is such a process. Its arguments are the directory of the module, the
// seed, and the wrong change, which may be none.
func guestProcess(ctx context.Context, args []string, out, said io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("%s: %q", guestCommand, args)
	}
	seed, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	m, err := sim.Open(ctx, os.DirFS(args[0]), moduleName, filepath.Join(args[0], "compiled"))
	if err != nil {
		return err
	}
	defer m.Close(ctx)
	r := m.RunAndJudge(ctx, world.Config{
		Seed: seed, Span: time.Minute, Clients: 3, Think: 150 * time.Millisecond, Latency: true, Sabotage: args[2],
	}, sim.Watch{Log: said})
	var end guestEnd
	if r.Err != nil {
		end.Error = r.Err.Error()
	}
	if r.Report != nil {
		end.Violations = r.Report.Violations
	}
	return json.NewEncoder(out).Encode(end)
}
