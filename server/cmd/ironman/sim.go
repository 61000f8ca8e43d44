package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ironman/sim"
	"ironman/sim/world"
	"ironman/wal/digest"
)

// simFlags are those of `ironman sim`.
type simFlags struct {
	config  world.Config
	seeds   int
	jobs    int
	minutes float64
	faults  string
	without string
	module  string
	trace   string
	history string
	html    string
	shrink  bool
	keep    bool
}

func simCommand() *cobra.Command {
	f := &simFlags{}
	c := &cobra.Command{
		Use:   "sim",
		Short: "Run whole clusters under faults in a simulated world, replayable from a seed",
		Long: `Run whole clusters under faults in a simulated world, replayable from a seed.

Three nodes of the production code, and more that join and leave, run in one process, in
virtual time, on simulated disks and a simulated network, under load, while machines lose
power, disks fail, the network splits and clocks jump. Then everything heals, and
everything that clients were answered is checked: every acknowledged write, every read,
every listing, and that all nodes hold the same.

The same seed and module give the same history, bit for bit, also elsewhere: the last line
is its hash. A seed that fails is repeated with the command that is printed, with --trace,
--log and --html for a closer look, and --shrink to find the faults that matter.`,
		Example: `  ironman sim --seed 1 --seeds 200
  ironman sim --seed 17 --log 2>seed-17.log --html seed-17.html
  ironman sim --seed 17 --shrink`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return f.run(ctx, c.OutOrStdout())
		},
	}
	fl := c.Flags()
	fl.Uint64Var(&f.config.Seed, "seed", 1, "first seed")
	fl.IntVar(&f.seeds, "seeds", 1, "number of seeds")
	fl.IntVar(&f.jobs, "jobs", 2, "seeds that run at a time, one thread each")
	fl.Float64Var(&f.minutes, "minutes", 1, "virtual minutes of faults per seed")
	fl.StringVar(&f.faults, "faults", "all", "kinds of faults to inject, by id, separated by commas; none: a run without; help: lists them")
	fl.StringVar(&f.without, "without", "", "numbers of planned faults to leave out, as --shrink prints them")
	fl.DurationVar(&f.config.Until, "until", 0, "end at this virtual time, in the middle of things")
	fl.IntVar(&f.config.Clients, "clients", 3, "clients that make requests")
	fl.DurationVar(&f.config.Think, "think", 150*time.Millisecond, "their pauses between requests, on average")
	fl.BoolVar(&f.config.TLS, "tls", false, "nodes speak TLS to each other, as in production: its keys and nonces come from the seed, too (slower; without N5, for which connections must be told apart)")
	fl.StringVar(&f.config.Sabotage, "sabotage", "", "make a known mistake, by its id; for a module that was built with the tag sabotage")
	fl.StringVar(&f.module, "module", "", "the simulated world; sim.wasm beside this binary if empty")
	fl.StringVar(&f.trace, "trace", "", "write every event of the (only) seed to this file")
	fl.StringVar(&f.history, "history", "", "write every request of the (only) seed to this file, a line of JSON each")
	fl.StringVar(&f.html, "html", "", "write a timeline of the (only) seed, for a browser, to this file")
	fl.BoolVar(&f.config.Log, "log", false, "print what the nodes say, to standard error")
	fl.BoolVar(&f.shrink, "shrink", false, "if the seed fails, find the planned faults that matter")
	fl.BoolVar(&f.keep, "keep-going", false, "go on behind a seed that fails")
	return c
}

func (f *simFlags) complete() error {
	f.config.Span = time.Duration(f.minutes * float64(time.Minute))
	f.config.Latency, f.config.Trace = true, f.trace != ""
	if (f.trace != "" || f.html != "" || f.history != "" || f.shrink || f.config.Log || f.without != "") && f.seeds != 1 {
		return errors.New("sim: --trace, --history, --html, --log, --without and --shrink are for one seed")
	}
	if f.seeds < 1 || f.config.Span <= 0 {
		return errors.New("sim: nothing to run")
	}
	known := world.FaultIDs()
	switch f.faults {
	case "all":
	case "none":
		f.config.Faults = []string{}
	default:
		for id := range strings.SplitSeq(f.faults, ",") {
			if !slices.Contains(known, id) {
				return fmt.Errorf("sim: there is no fault %q; there are %s", id, strings.Join(known, ", "))
			}
			f.config.Faults = append(f.config.Faults, id)
		}
	}
	if f.without != "" {
		for n := range strings.SplitSeq(f.without, ",") {
			i, err := strconv.Atoi(n)
			if err != nil {
				return fmt.Errorf("sim: --without: %w", err)
			}
			f.config.Without = append(f.config.Without, i)
		}
	}
	if f.module == "" {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		f.module = filepath.Join(filepath.Dir(exe), "sim.wasm")
	}
	return nil
}

func (f *simFlags) run(ctx context.Context, out io.Writer) error {
	if f.faults == "help" {
		return world.DescribeFaults(out)
	}
	if err := f.complete(); err != nil {
		return err
	}
	cache := ""
	if dir, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(dir, "ironman-sim")
	}
	m, err := sim.Open(ctx, os.DirFS(filepath.Dir(f.module)), filepath.Base(f.module), cache)
	if err != nil {
		return err
	}
	defer m.Close(ctx)
	fmt.Fprintf(out, "module %s\n", m.Digest[:16])
	files, err := f.open()
	if err != nil {
		return err
	}
	board := newSimBoard(out, f)
	campaign := sim.Campaign{Module: m, Config: f.config, Seeds: f.seeds, Jobs: f.jobs,
		Begin: func(seed uint64) sim.Watch { return files.watch(board.begin(seed)) },
		Done:  board.done,
	}
	campaign.Run(ctx)
	board.bar.end()
	board.summary()
	err = files.close(board.last)
	if board.failed > 0 && f.shrink && ctx.Err() == nil {
		f.shrinkSeed(ctx, m, board, out)
	}
	fmt.Fprintf(out, "trace hash: %s\n", board.hash())
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return errors.New("sim: interrupted")
	case board.failed > 0:
		return fmt.Errorf("sim: %d of %d seeds failed", board.failed, board.ran)
	}
	return nil
}

func (f *simFlags) shrinkSeed(ctx context.Context, m *sim.Module, b *simBoard, out io.Writer) {
	if b.last.Report == nil {
		return
	}
	without := m.Shrink(ctx, f.config, b.last.Report.Plan, func(left, tries int) {
		b.bar.show("shrinking: %d planned faults left after %d runs", left, tries)
	})
	b.bar.end()
	slices.Sort(without)
	fmt.Fprintln(out, "these planned faults are enough:")
	for _, a := range b.last.Report.Plan {
		if !slices.Contains(without, a.N) {
			fmt.Fprintf(out, "  %10v +%v %s\n", a.At.Round(time.Millisecond), a.Lasts.Round(time.Millisecond), a)
		}
	}
	fmt.Fprintf(out, "repeat it: %s --without %s\n", f.command(f.config.Seed), strings.Trim(strings.ReplaceAll(fmt.Sprint(without), " ", ","), "[]"))
}

// command is the line that repeats a seed.
func (f *simFlags) command(seed uint64) string {
	s := fmt.Sprintf("ironman sim --seed %d --minutes %v", seed, f.minutes)
	if f.faults != "all" {
		s += " --faults " + f.faults
	}
	if f.config.TLS {
		s += " --tls"
	}
	if f.config.Sabotage != "" {
		s += " --sabotage " + f.config.Sabotage
	}
	if f.config.Clients != 3 {
		s += fmt.Sprintf(" --clients %d", f.config.Clients)
	}
	if f.config.Think != 150*time.Millisecond {
		s += fmt.Sprintf(" --think %v", f.config.Think)
	}
	return s
}

// simFiles are what a single seed is written to.
type simFiles struct {
	flags  *simFlags
	trace  *os.File
	writer *bufio.Writer
}

func (f *simFlags) open() (*simFiles, error) {
	files := &simFiles{flags: f}
	if f.trace == "" {
		return files, nil
	}
	var err error
	if files.trace, err = os.Create(f.trace); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	files.writer = bufio.NewWriterSize(files.trace, 1<<20)
	return files, nil
}

func (s *simFiles) watch(w sim.Watch) sim.Watch {
	w.Log = os.Stderr
	if s.writer != nil {
		w.Trace = func(line string) {
			_, _ = s.writer.WriteString(line + "\n") // its error comes with Flush
		}
	}
	return w
}

func (s *simFiles) close(r sim.Result) error {
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.Flush(), s.trace.Close())
	}
	if r.Report == nil {
		return errors.Join(errs...)
	}
	write := func(name string, content func(io.Writer) error) {
		if name == "" {
			return
		}
		file, err := os.Create(name)
		if err == nil {
			err = errors.Join(content(file), file.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sim: %w", err))
		}
	}
	write(s.flags.history, func(w io.Writer) error { return sim.WriteHistory(w, r.Report) })
	write(s.flags.html, func(w io.Writer) error { return sim.WriteTimeline(w, r) })
	return errors.Join(errs...)
}

// simBoard collects results and shows progress. Safe for concurrent use.
type simBoard struct {
	out   io.Writer
	flags *simFlags
	bar   *bar
	began time.Time

	mu                    sync.Mutex
	running               map[uint64]world.Progress
	ran, failed, answered int
	virtual               time.Duration // of seeds that ended
	fired                 []world.Fired
	hashes                []string // "seed hash"
	last                  sim.Result
}

func newSimBoard(out io.Writer, f *simFlags) *simBoard {
	return &simBoard{out: out, flags: f, bar: newBar(f.seeds), began: time.Now(), running: make(map[uint64]world.Progress)}
}

func (b *simBoard) begin(seed uint64) sim.Watch {
	return sim.Watch{Progress: func(p world.Progress) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.running[seed] = p
		b.show()
	}}
}

// show is called with mu held.
func (b *simBoard) show() {
	virtual, fired, answered := b.virtual, 0, b.answered
	for _, p := range b.running {
		virtual += p.At
		fired += p.Fired
		answered += p.Answered
	}
	for _, x := range b.fired {
		fired += x.Count
	}
	b.bar.show("seed %d: %d answers, %d faults, %.2f virtual hours per hour", b.flags.config.Seed+uint64(b.ran), answered, fired,
		virtual.Hours()/time.Since(b.began).Hours())
}

func (b *simBoard) done(r sim.Result) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, r.Seed)
	b.ran++
	b.last = r
	b.bar.advance()
	if r.Report != nil {
		b.virtual += r.Report.At
		b.answered += r.Report.Answered
		b.hashes = append(b.hashes, fmt.Sprintf("%020d %s", r.Seed, r.Report.Hash))
		b.fired = world.AddFired(b.fired, r.Report.Fired)
	}
	if !r.Failed() {
		b.show()
		return true
	}
	b.failed++
	b.bar.end()
	fmt.Fprintf(b.out, "seed %d FAILED\n", r.Seed)
	if r.Err != nil {
		fmt.Fprintf(b.out, "  %v\n", r.Err)
	}
	if r.Report != nil {
		for _, v := range r.Report.Violations {
			fmt.Fprintf(b.out, "  %v %s: %s\n", v.At.Round(time.Millisecond), v.Checker, v.Text)
		}
	}
	fmt.Fprintf(b.out, "  repeat it: %s\n", b.flags.command(r.Seed))
	return b.flags.keep
}

func (b *simBoard) summary() {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(b.out, "%d seeds, %d failed; %d requests answered; %v virtual in %v on %d threads\n",
		b.ran, b.failed, b.answered, b.virtual.Round(time.Second), time.Since(b.began).Round(time.Second), b.flags.jobs)
	for _, x := range b.fired {
		if x.Count > 0 {
			fmt.Fprintf(b.out, "  %-4s %8d  %s\n", x.ID, x.Count, x.Name)
		}
	}
}

// hash is that of the only seed, or one over those of all.
func (b *simBoard) hash() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.hashes) == 1 {
		_, h, _ := strings.Cut(b.hashes[0], " ")
		return h
	}
	slices.Sort(b.hashes)
	sum := digest.SHA256([]byte(strings.Join(b.hashes, "\n")))
	return hex.EncodeToString(sum[:16])
}
