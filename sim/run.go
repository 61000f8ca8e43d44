package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"

	"ironman/sim/world"
	"ironman/wal/digest"
)

// Watch is told what happens during a run; its functions may be nil. They are called
// in the order of what happened, from one goroutine.
type Watch struct {
	Progress func(world.Progress)
	Trace    func(line string) // with Config.Trace
	Log      io.Writer         // what the nodes and the guest's runtime say
}

// Run runs one seed from its beginning to its end, and returns what came of it. The
// same module and configuration give the same report, bit for bit. An error says
// that the world itself came to grief: the report is not complete then.
func (m *Module) Run(ctx context.Context, c world.Config, w Watch) (*world.Report, error) {
	arg, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	lines, out := io.Pipe()
	type end struct {
		report *world.Report
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := listen(lines, w)
		lines.CloseWithError(err) // the guest must not wait for a reader that is gone
		ended <- end{r, err}
	}()
	err = m.call(ctx, c, string(arg), out, w.Log)
	out.Close()
	heard := <-ended
	switch {
	case err != nil:
		return heard.report, fmt.Errorf("sim: seed %d: %w", c.Seed, errors.Join(err, heard.err))
	case heard.err != nil:
		return heard.report, fmt.Errorf("sim: seed %d: %w", c.Seed, heard.err)
	case heard.report == nil:
		return nil, fmt.Errorf("sim: seed %d ended without a report", c.Seed)
	}
	return heard.report, nil
}

// call lets the guest run to its end.
func (m *Module) call(ctx context.Context, c world.Config, arg string, out, log io.Writer) error {
	if log == nil {
		log = io.Discard
	}
	time := &clock{ctx: ctx}
	config := wazero.NewModuleConfig().WithName("").WithArgs("guest", arg).WithStdout(out).WithStderr(log).
		WithRandSource(rand.NewChaCha8(digest.SHA256([]byte("guest "+strconv.FormatUint(c.Seed, 10))))).
		WithNanotime(time.nanotime, resolution).WithWalltime(time.walltime, resolution).
		WithNanosleep(time.nanosleep).WithOsyield(time.yield)
	for _, e := range environment(c) {
		config = config.WithEnv(e.name, e.value)
	}
	g, err := m.runtime.InstantiateModule(ctx, m.compiled, config)
	var exit *sys.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 0:
		err = nil
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	if g != nil {
		err = errors.Join(err, g.Close(ctx))
	}
	return err
}

type variable struct{ name, value string }

// environment of the guest: its collector's pace changes the history, so it is fixed.
func environment(c world.Config) []variable {
	e := []variable{{"GOGC", "200"}, {"GODEBUG", ""}, {"TZ", "UTC"}}
	if c.Sabotage != "" {
		e = append(e, variable{"IRONMAN_SABOTAGE", c.Sabotage})
	}
	return e
}

// maxLine bounds a line of the guest, in bytes.
const maxLine = 256 << 20

// listen reads what the guest says until it ends.
func listen(r io.Reader, w Watch) (*world.Report, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	var report *world.Report
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return report, nil
		}
		if err != nil {
			return report, err
		}
		if len(line) > maxLine {
			return report, errors.New("the guest says too much")
		}
		if line[0] == 't' {
			if w.Trace != nil {
				w.Trace(string(line[1 : len(line)-1]))
			}
			continue
		}
		var m world.Message
		if err := json.Unmarshal(line, &m); err != nil {
			return report, fmt.Errorf("the guest says %.200q: %w", line, err)
		}
		switch {
		case m.Progress != nil && w.Progress != nil:
			w.Progress(*m.Progress)
		case m.Report != nil:
			report = m.Report
		}
	}
}
