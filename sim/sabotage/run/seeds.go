package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"ironman/sim/sabotage"
	"ironman/sim/world"
)

// seeds is a tier: whole clusters in the simulated world, one seed after the other, until
// one shows the wrong change. Each seed that does must pass without the change, or
// what it shows may have nothing to do with it.
type seeds struct {
	name string
	// run runs a seed under a wrong change, or none, and judges it. An error says that
	// it could not be run to its end, for a reason that no wrong change has to do with.
	run func(ctx context.Context, seed uint64, id sabotage.ID) (outcome, error)
	// most seeds are tried, and no new one behind so much time of the processor.
	most  int
	limit time.Duration
	// innocent remembers what seeds come to without any change.
	innocent map[uint64]error
}

// outcome is what a seed came to.
type outcome struct {
	violations []world.Violation
	// panicked is what the process said that ended in the middle; "": it did not.
	panicked string
	reached  bool // it came to the change
	cpu      time.Duration
}

// process runs the process of one seed and notes what it took, and whether it came to
// the change. It may fail, which failed tells, and is ended when limit is over, which
// is an error.
func (o *outcome) process(c *exec.Cmd, limit time.Duration, id sabotage.ID) (out, said []byte, failed, err error) {
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Start(); err != nil {
		return nil, nil, nil, err
	}
	late := time.AfterFunc(limit, func() { _ = c.Process.Kill() })
	failed = c.Wait()
	o.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	o.reached = id != "" && bytes.Contains(stderr.Bytes(), []byte(sabotage.Reached+string(id)))
	if !late.Stop() {
		err = fmt.Errorf("it did not end within %v", limit)
	}
	return stdout.Bytes(), stderr.Bytes(), failed, err
}

// Of a simulated cluster's checks this one does not count: it says that a run was not
// much of a run.
const vacuity = "C7"

// checkers that fired, sorted, each once.
func (o outcome) checkers() []string {
	var all []string
	for _, v := range o.violations {
		if v.Checker != vacuity {
			all = append(all, v.Checker)
		}
	}
	if o.panicked != "" {
		all = append(all, "panic")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// why is the first thing that it shows.
func (o outcome) why() string {
	if o.panicked != "" {
		return o.panicked
	}
	for _, v := range o.violations {
		if v.Checker != vacuity {
			return fmt.Sprintf("%s: %.200s", v.Checker, v.Text)
		}
	}
	return ""
}

// String implements tier.
func (s *seeds) String() string { return fmt.Sprintf("%s, up to %d seeds", s.name, s.most) }

// sound implements tier.
func (s *seeds) sound(ctx context.Context) error { return s.pass(ctx, 1) }

// pass runs a seed without any wrong change, once; nil: it shows nothing.
func (s *seeds) pass(ctx context.Context, seed uint64) error {
	err, known := s.innocent[seed]
	if known {
		return err
	}
	o, err := s.run(ctx, seed, "")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && o.reached:
		err = fmt.Errorf("seed %d: a change is in effect that nobody chose", seed)
	case err == nil && len(o.checkers()) > 0:
		err = fmt.Errorf("seed %d: %s", seed, o.why())
	}
	s.innocent[seed] = err
	return err
}

// try implements tier.
func (s *seeds) try(ctx context.Context, id sabotage.ID) (f finding, err error) {
	f.Tier = s.name
	reached, doubt := 0, ""
	for f.Runs < s.most && f.CPU < s.limit.Seconds() {
		seed := uint64(f.Runs + 1)
		o, err := s.run(ctx, seed, id)
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		if err != nil {
			return f, fmt.Errorf("seed %d: %w", seed, err)
		}
		f.Runs++
		f.CPU += o.cpu.Seconds()
		if o.reached {
			reached++
		}
		found := o.checkers()
		if len(found) == 0 {
			continue
		}
		if !o.reached {
			doubt = fmt.Sprintf("; seed %d fails, but never came to it: %s", seed, o.why())
			continue
		}
		if err := s.pass(ctx, seed); err != nil {
			doubt = fmt.Sprintf("; a seed fails without it, too: %v", err)
			continue
		}
		f.By, f.Checkers, f.Remark = strings.Join(found, ", "), found, o.why()
		return f, nil
	}
	f.Remark = fmt.Sprintf("found by no checker in %d seeds, of which %d came to it%s", f.Runs, reached, doubt)
	return f, nil
}
