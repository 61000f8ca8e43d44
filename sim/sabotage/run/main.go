package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"ironman/sim/sabotage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
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

// command runs what the arguments ask for, and tells whether all was found that is
// to be.
func command(ctx context.Context, args []string, out, progress io.Writer) (found bool, err error) {
	flags := flag.NewFlagSet("sabotage", flag.ContinueOnError)
	flags.SetOutput(progress)
	only := flags.String("only", "", "ids, separated by commas; all if empty")
	asJSON := flags.Bool("json", false, "write JSON")
	list := flags.Bool("list", false, "say what is to find what, and run nothing")
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	if flags.NArg() > 0 {
		return false, fmt.Errorf("what is %q to mean?", flags.Arg(0))
	}
	chosen, err := choose(*only)
	if err != nil {
		return false, err
	}
	w, err := newWorkshop()
	if err != nil {
		return false, err
	}
	defer w.close()
	tiers := plan(w)
	if *list {
		return true, writeList(out, chosen, tiers)
	}
	var results []result
	for _, s := range chosen {
		r := try(ctx, s, tiers[s.ID])
		results = append(results, r)
		fmt.Fprintln(progress, r.line())
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	if *asJSON {
		err = writeJSON(out, results)
	} else {
		err = writeTable(out, results)
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
	// By is the test or checker that failed; "": the change was not found.
	By string
	// Runs is how many runs or seeds were made.
	Runs int
	// Remark says what is to be known beside it.
	Remark string
}

// result is what became of one wrong change.
type result struct {
	sabotage.Sabotage
	By      string
	Runs    int
	Seconds float64
	// Remark says why nothing was found, or what else there is to know.
	Remark string `json:",omitempty"`
	// Later names the tier that is to find it and does not exist yet.
	Later string `json:",omitempty"`
}

func (r result) missed() bool { return r.By == "" && r.Waits == "" && r.Later == "" }

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
		r.Runs += f.Runs
		r.Remark = f.Remark
		if f.By != "" {
			r.By, r.Later = f.By, ""
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
