package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ironman/sim/history"
	"ironman/sim/load"
	"ironman/sim/world"
)

// A Result is one seed, run and judged.
type Result struct {
	Seed   uint64
	Report *world.Report
	// Err is set where the world itself came to grief: a panic, a deadlock.
	Err error
}

// Failed tells whether something was found.
func (r *Result) Failed() bool { return r.Err != nil || len(r.Report.Violations) > 0 }

// judgeLimit is how long the search for an order of one key's requests may take.
const judgeLimit = 30 * time.Second

// minimum is how many requests must have been answered per virtual second of faults:
// a run below it has shown nothing (C7).
const minimum = 1.0

// RunAndJudge runs a seed, and checks what its clients were answered.
func (m *Module) RunAndJudge(ctx context.Context, c world.Config, w Watch) Result {
	r := Result{Seed: c.Seed}
	r.Report, r.Err = m.Run(ctx, c, w)
	if r.Report == nil || r.Err != nil || c.Until > 0 {
		return r
	}
	Judge(r.Report, c)
	return r
}

// shortest is the span of a run in which clients must have come to everything that they do.
const shortest = time.Minute

// Judge adds what the history shows to a report's violations.
func Judge(r *world.Report, c world.Config) {
	for _, v := range history.Judge(r.History, judgeLimit) {
		r.Violations = append(r.Violations, world.Violation{Checker: "C1", At: r.At, Text: v.Key + ": " + v.Text})
	}
	if per := float64(r.Answered) / c.Span.Seconds(); per < minimum {
		r.Violations = append(r.Violations, world.Violation{Checker: "C7", At: r.At,
			Text: fmt.Sprintf("only %d requests were answered, %.1f a second: not much of a run", r.Answered, per)})
	}
	if missing := load.Missing(r.Done); len(missing) > 0 && c.Span >= shortest {
		r.Violations = append(r.Violations, world.Violation{Checker: "C7", At: r.At, Text: fmt.Sprintf("it never came to this: %q", missing)})
	}
}

// Campaign runs seeds from one on, several at a time.
type Campaign struct {
	Module *Module
	Config world.Config // Seed is the first one
	Seeds  int
	Jobs   int
	// Begin is called when a seed begins; what it returns watches it.
	Begin func(seed uint64) Watch
	// Done is called with each result, one at a time, in the order in which they end.
	// It returns whether to go on with further seeds.
	Done func(Result) bool
}

// Run returns when all seeds are done, or Done or ctx say that it is enough.
func (c *Campaign) Run(ctx context.Context) {
	var mu sync.Mutex
	next, stop := 0, false
	var jobs sync.WaitGroup
	for range max(c.Jobs, 1) {
		jobs.Go(func() {
			for {
				mu.Lock()
				n := next
				next++
				end := stop || n >= c.Seeds || ctx.Err() != nil
				mu.Unlock()
				if end {
					return
				}
				config := c.Config
				config.Seed += uint64(n)
				r := c.Module.RunAndJudge(ctx, config, c.Begin(config.Seed))
				mu.Lock()
				if !c.Done(r) {
					stop = true
				}
				mu.Unlock()
			}
		})
	}
	jobs.Wait()
}

// Shrink leaves out planned faults, as many as can be left out while the run still
// fails, and returns the numbers of those that are left out (delta debugging: Zeller,
// 1999). tell hears of each try.
func (m *Module) Shrink(ctx context.Context, c world.Config, plan []world.Action, tell func(left, tries int)) []int {
	all := make([]int, len(plan))
	for i, a := range plan {
		all[i] = a.N
	}
	without := append([]int(nil), c.Without...)
	tries := 0
	fails := func(without []int) bool {
		tries++
		config := c
		config.Without = without
		r := m.RunAndJudge(ctx, config, Watch{})
		return r.Failed()
	}
	for size := (len(all) + 1) / 2; size > 0 && ctx.Err() == nil; size /= 2 {
		for at := 0; at < len(all) && ctx.Err() == nil; {
			part := all[at:min(at+size, len(all))]
			if fails(append(append([]int(nil), without...), part...)) {
				without = append(without, part...)
				all = append(append([]int(nil), all[:at]...), all[at+len(part):]...)
			} else {
				at += size
			}
			tell(len(all), tries)
		}
	}
	return without
}
