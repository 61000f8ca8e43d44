package sim

import (
	"context"

	"github.com/tetratelabs/wazero/sys"
)

// epoch is the wall clock at virtual time zero, in Unix nanoseconds: the same in
// every run.
const epoch = 1_800_000_000_000_000_000

// clock is the only time that the simulated world knows. The guest's runtime asks to
// sleep when no goroutine can run: that is when time passes, at once. Reading the
// clock costs a nanosecond and yielding a microsecond, so that whoever spins until
// some time comes to an end. Not safe for concurrent use: a guest is one thread.
//
// A guest cannot be interrupted by itself: it ends where it asks for the time, once the
// context has ended.
type clock struct {
	ctx context.Context
	now int64 // nanoseconds since the start
}

// interrupted is the exit code of a guest whose context has ended.
const interrupted = 130

func (c *clock) nanotime() int64 {
	if c.ctx.Err() != nil {
		panic(sys.NewExitError(interrupted)) // so the runtime unwinds a guest that exits
	}
	c.now++
	return c.now
}

func (c *clock) walltime() (sec int64, nsec int32) {
	t := epoch + c.now
	return t / 1e9, int32(t % 1e9)
}

func (c *clock) nanosleep(ns int64) { c.now += ns }

func (c *clock) yield() { c.now += 1000 }

// resolution is that of both clocks, in nanoseconds.
const resolution = sys.ClockResolution(1)
