package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ironman/sim/sabotage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == guestCommand {
		if err := guestProcess(ctx, os.Args[2:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "sabotage:", err)
			os.Exit(2)
		}
		return
	}
	found, err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(2)
	case !found:
		os.Exit(1)
	}
}

// request is what the arguments ask for.
type request struct {
	chosen                 []sabotage.Sabotage
	tiers                  []string // empty: those of the plan
	seeds                  int
	asJSON, list, toRecord bool
}

func parse(args []string, usage io.Writer) (r request, err error) {
	flags := flag.NewFlagSet("sabotage", flag.ContinueOnError)
	flags.SetOutput(usage)
	only := flags.String("only", "", "ids, separated by commas; all if empty")
	tiers := flags.String("tier", "", "where to look: "+tierL0+", "+tierFast+", "+tierReplay+", separated by commas, the cheapest first; as planned for each if empty")
	flags.IntVar(&r.seeds, "seeds", 40, "how many seeds of a simulated tier are tried at most")
	flags.BoolVar(&r.asJSON, "json", false, "write JSON")
	flags.BoolVar(&r.list, "list", false, "say what is to find what, and run nothing")
	flags.BoolVar(&r.toRecord, "record", false, "record how many seeds the simulated tiers needed")
	if err := flags.Parse(args); err != nil {
		return r, err
	}
	if flags.NArg() > 0 {
		return r, fmt.Errorf("what is %q to mean?", flags.Arg(0))
	}
	if r.seeds < 1 {
		return r, errors.New("without a seed nothing is tried")
	}
	for name := range strings.SplitSeq(*tiers, ",") {
		switch name = strings.TrimSpace(name); name {
		case "":
		case tierL0, tierFast, tierReplay:
			r.tiers = append(r.tiers, name)
		default:
			return r, fmt.Errorf("there is no tier %q", name)
		}
	}
	r.chosen, err = choose(*only)
	return r, err
}

// command runs what the arguments ask for, and tells whether all was found that is
// to be, in no more seeds than usual.
func command(ctx context.Context, args []string, out, progress io.Writer) (found bool, err error) {
	asked, err := parse(args, progress)
	if err != nil {
		return false, err
	}
	notes, err := parseRecord(recorded)
	if err != nil {
		return false, err
	}
	w, err := newWorkshop()
	if err != nil {
		return false, err
	}
	defer w.close()
	tiers := w.only(plan(w, asked.seeds), asked)
	if asked.list {
		return true, writeList(out, asked.chosen, tiers)
	}
	var results []result
	for _, s := range asked.chosen {
		r := try(ctx, s, tiers[s.ID])
		r.Worse = compare(notes, r)
		results = append(results, r)
		fmt.Fprintln(progress, r.line())
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	if asked.toRecord {
		err = saveRecord(filepath.Join(w.root, "sim/sabotage/run/record.txt"), update(notes, results))
	}
	if asked.asJSON {
		err = errors.Join(err, writeJSON(out, results))
	} else {
		err = errors.Join(err, writeTable(out, results))
	}
	return !slices.ContainsFunc(results, result.missed), err
}

// choose returns the wrong changes that are named; all if none is.
func choose(only string) ([]sabotage.Sabotage, error) {
	if only == "" {
		return sabotage.List(), nil
	}
	var out []sabotage.Sabotage
	for id := range strings.SplitSeq(only, ",") {
		s, ok := sabotage.Find(sabotage.ID(strings.TrimSpace(id)))
		if !ok {
			return nil, fmt.Errorf("there is no sabotage %q", id)
		}
		out = append(out, s)
	}
	return out, nil
}

// tier is one way to look for a wrong change.
type tier interface {
	// String names it in few words.
	String() string
	// sound says why the tier fails without any wrong change; nil: it passes.
	sound(context.Context) error
	// try looks for the wrong change. An error says that it could not be tried.
	try(context.Context, sabotage.ID) (finding, error)
}

// finding is what a tier came to.
type finding struct {
	Tier string
	// By is the test that failed, or the checkers that fired; "": the change was not found.
	By string
	// Checkers that fired in the simulated world.
	Checkers []string
	// Runs is how many runs or seeds were made, CPU the seconds of the processor they took.
	Runs int
	CPU  float64
	// Remark says what is to be known beside it.
	Remark string
}

// result is what became of one wrong change.
type result struct {
	sabotage.Sabotage
	// Tier is that which found it, or the last one that was tried.
	Tier     string   `json:",omitempty"`
	By       string   // the test that failed, or the checkers that fired
	Checkers []string `json:",omitempty"` // of the simulated world
	Runs     int      // or seeds, of Tier
	CPU      float64  // seconds of the processor, of all tiers
	Seconds  float64
	// Remark says why nothing was found, or what else there is to know.
	Remark string `json:",omitempty"`
	// Worse says that it took many more seeds than it was recorded to.
	Worse string `json:",omitempty"`
	// Later names the tier that is to find it and does not exist yet.
	Later string `json:",omitempty"`
}

func (r result) missed() bool {
	return r.Worse != "" || r.By == "" && r.Waits == "" && r.Later == ""
}

// try goes through the tiers until one finds the wrong change.
func try(ctx context.Context, s sabotage.Sabotage, tiers []tier) (r result) {
	r.Sabotage = s
	began := time.Now()
	defer func() { r.Seconds = time.Since(began).Seconds() }()
	if s.Waits != "" {
		return r
	}
	r.Remark = "no tier is to find it"
	for _, t := range tiers {
		if l, ok := t.(later); ok {
			r.Later = string(l)
			continue
		}
		if err := t.sound(ctx); err != nil {
			r.Remark = fmt.Sprintf("%s fails by itself: %v", t, err)
			continue
		}
		f, err := t.try(ctx, s.ID)
		if err != nil {
			r.Remark = fmt.Sprintf("%s: %v", t, err)
			continue
		}
		r.Tier, r.Runs, r.Remark = f.Tier, f.Runs, f.Remark
		r.CPU += f.CPU
		if f.By != "" {
			r.By, r.Checkers, r.Later = f.By, f.Checkers, ""
			return r
		}
	}
	return r
}

// later is a tier that does not exist yet.
type later string

func (l later) String() string                                        { return string(l) }
func (later) sound(context.Context) error                             { return nil }
func (later) try(context.Context, sabotage.ID) (f finding, err error) { return f, nil }
