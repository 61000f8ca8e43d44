package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ironman/sim/sabotage"
	"ironman/sim/world"
)

// TestSeeds: a wrong change counts as found only where a check fires in a run that came
// to it, ended by itself, and shows nothing without it.
func TestSeeds(t *testing.T) {
	fires := func(checkers ...string) (o outcome) {
		for _, c := range checkers {
			o.violations = append(o.violations, world.Violation{Checker: c, Text: "it is wrong"})
		}
		o.reached, o.cpu = true, time.Second
		return o
	}
	unreached := fires("C1")
	unreached.reached = false
	type answers map[uint64]outcome
	for name, tc := range map[string]struct {
		with, without answers
		fails         uint64 // seed that cannot be run
		limit         time.Duration
		by, remark    string
		runs          int
		err           bool
	}{
		"at once":                     {with: answers{1: fires("C5", "C1", "C5")}, by: "C1, C5", remark: "C5: it is wrong", runs: 1},
		"the third":                   {with: answers{3: fires("I4", "C7")}, by: "I4", remark: "I4: it is wrong", runs: 3},
		"a panic":                     {with: answers{2: {panicked: "panic: x", reached: true}}, by: "panic", remark: "panic: x", runs: 2},
		"never":                       {runs: 5, remark: "found by no checker in 5 seeds, of which 0 came to it"},
		"not much of a run":           {with: answers{1: fires("C7")}, runs: 5, remark: "found by no checker in 5 seeds, of which 1 came to it"},
		"never came to it":            {with: answers{1: unreached}, runs: 5, remark: "found by no checker in 5 seeds, of which 0 came to it; seed 1 fails, but never came to it: C1: it is wrong"},
		"fails without it":            {with: answers{1: fires("C1")}, without: answers{1: fires("I12")}, runs: 5, remark: "found by no checker in 5 seeds, of which 1 came to it; a seed fails without it, too: seed 1: I12: it is wrong"},
		"fails without it, and later": {with: answers{1: fires("C1"), 2: fires("C2")}, without: answers{1: fires("I12")}, by: "C2", remark: "C2: it is wrong", runs: 2},
		"cannot be run":               {with: answers{2: fires("C1")}, fails: 1, err: true},
		"no time":                     {with: answers{1: {cpu: time.Minute}, 2: fires("C1")}, limit: time.Minute, runs: 1, remark: "found by no checker in 1 seeds, of which 0 came to it"},
	} {
		s := &seeds{name: "fast", most: 5, limit: max(tc.limit, time.Minute), innocent: make(map[uint64]error)}
		s.run = func(_ context.Context, seed uint64, id sabotage.ID) (outcome, error) {
			if id == "" {
				o := tc.without[seed]
				o.reached = false
				return o, nil
			}
			if seed == tc.fails {
				return outcome{}, errors.New("it did not end")
			}
			return tc.with[seed], nil
		}
		f, err := s.try(t.Context(), sabotage.X01)
		if (err != nil) != tc.err || f.By != tc.by || f.Runs != tc.runs || f.Remark != tc.remark || f.Tier != "fast" {
			t.Errorf("%s: %+v %v", name, f, err)
		}
		if first := tc.without[1]; (s.sound(t.Context()) != nil) != (len(first.violations) > 0) {
			t.Errorf("%s: sound: %v", name, s.sound(t.Context()))
		}
	}
}

// TestPanicked: what the frame around a run says is no panic of the code under trial.
func TestPanicked(t *testing.T) {
	for said, want := range map[string]string{
		"a\npanic: pebble: closed\n\ngoroutine 1": "panic: pebble: closed",
		"fatal error: concurrent map writes":      "fatal error: concurrent map writes",
		"panic: test timed out after 5m0s":        "",
		"panic: deadlock: all goroutines":         "",
		"fatal error: runtime: out of memory":     "",
		"signal: killed":                          "",
	} {
		if got := panicked(said); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
}

// TestRecord: the record is read as it was written; a number of seeds that grows is
// told, a little more is not.
func TestRecord(t *testing.T) {
	notes, err := parseRecord("# x\nfast X01 1 C5 I12\n\nfast X03 7 C1\nreplay X03 0 -\n")
	if err != nil || len(notes) != 3 || notes[0] != (note{"fast", "X01", 1, "C5 I12"}) {
		t.Fatal(notes, err)
	}
	for _, bad := range []string{"fast X01", "fast X01 many C1"} {
		if _, err := parseRecord(bad); err == nil {
			t.Errorf("%q is a record", bad)
		}
	}
	found := func(tier string, id sabotage.ID, runs int) result {
		return result{Sabotage: sabotage.Sabotage{ID: id}, Tier: tier, By: "C1", Checkers: []string{"C1", "I1"}, Runs: runs}
	}
	for r, worse := range map[*result]bool{
		{Sabotage: sabotage.Sabotage{ID: "X03"}, Tier: "fast", By: "C1", Runs: 35}:   false,
		{Sabotage: sabotage.Sabotage{ID: "X03"}, Tier: "fast", By: "C1", Runs: 36}:   true,
		{Sabotage: sabotage.Sabotage{ID: "X01"}, Tier: "fast", By: "C1", Runs: 15}:   false,
		{Sabotage: sabotage.Sabotage{ID: "X01"}, Tier: "fast", By: "C1", Runs: 16}:   true,
		{Sabotage: sabotage.Sabotage{ID: "X03"}, Tier: "replay", By: "C1", Runs: 40}: false, // better than it was
		{Sabotage: sabotage.Sabotage{ID: "X09"}, Tier: "fast", By: "C1", Runs: 40}:   false,
	} {
		if r.Worse = compare(notes, *r); (r.Worse != "") != worse || r.missed() != worse {
			t.Errorf("%+v", r)
		}
	}
	missed := result{Sabotage: sabotage.Sabotage{ID: "X15"}, Tier: "fast", Runs: 40}
	notes = update(notes, []result{found("fast", "X03", 2), found("l0", "X02", 1), missed})
	var b bytes.Buffer
	if err := writeRecord(&b, notes); err != nil {
		t.Fatal(err)
	}
	again, err := parseRecord(b.String())
	want := []note{{"fast", "X01", 1, "C5 I12"}, {"fast", "X03", 2, "C1 I1"}, {"fast", "X15", 0, "-"}, {"replay", "X03", 0, "-"}}
	if err != nil || !slices.Equal(again, want) {
		t.Errorf("%v %v", again, err)
	}
	if notes, err := parseRecord(recorded); err != nil || len(notes) == 0 {
		t.Errorf("what is recorded: %v %v", notes, err)
	}
}

// TestOnly: tiers that are asked for take the place of the plan's, the cheapest first.
func TestOnly(t *testing.T) {
	w := &workshop{}
	all := plan(w, 7)
	if got := w.only(all, request{}); len(got) != len(all) {
		t.Errorf("%d of %d are planned", len(got), len(all))
	}
	got := w.only(all, request{tiers: []string{tierL0, tierFast, tierReplay}, seeds: 7})
	var names []string
	for _, t := range got[sabotage.X01] {
		names = append(names, t.String())
	}
	if s := strings.Join(names, "; "); s != "./wal/segment ^TestCrashEverywhere$; fast, up to 7 seeds; replay, up to 7 seeds" {
		t.Error(s)
	}
	if len(got[sabotage.X28]) != 0 || len(w.only(all, request{tiers: []string{tierL0}})[sabotage.X61]) != 0 {
		t.Error("tiers that there are not")
	}
}
