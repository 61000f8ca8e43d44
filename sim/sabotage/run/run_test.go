package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ironman/sim/sabotage"
)

// TestPlan: every wrong change that is in the code has a tier, and every pattern
// of one names tests that there are.
func TestPlan(t *testing.T) {
	tiers := plan(&workshop{}, 1)
	for _, s := range sabotage.List() {
		if (len(tiers[s.ID]) > 0) != (s.Waits == "") {
			t.Errorf("%s waits for %q and has %d tiers", s.ID, s.Waits, len(tiers[s.ID]))
		}
		for _, tier := range tiers[s.ID] {
			if g, ok := tier.(goTest); ok && !g.names(t) {
				t.Errorf("%s: there are no such tests: %s", s.ID, g)
			}
		}
		delete(tiers, s.ID)
	}
	if len(tiers) > 0 {
		t.Errorf("not in the list: %v", tiers)
	}
}

// names tells whether each name in the pattern is a test of the package.
func (g goTest) names(t *testing.T) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../..", g.pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source bytes.Buffer
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	names := regexp.MustCompile(`Test\w+`).FindAllString(g.pattern, -1)
	for _, name := range names {
		if !bytes.Contains(source.Bytes(), []byte("func "+name+"(t *testing.T)")) {
			return false
		}
	}
	return len(names) > 0
}

// fake is a tier that comes to what a test wants.
type fake struct {
	unsound, failure error
	finding          finding
	tried            *int
}

func (fake) String() string                { return "fake" }
func (f fake) sound(context.Context) error { return f.unsound }
func (f fake) try(context.Context, sabotage.ID) (finding, error) {
	if f.tried != nil {
		*f.tried++
	}
	return f.finding, f.failure
}

// TestTry: tiers are tried in order until one finds the change; a tier that fails by
// itself, or cannot be tried, finds nothing.
func TestTry(t *testing.T) {
	bad, tried := errors.New("bad"), 0
	found, nothing := fake{finding: finding{By: "a test", Runs: 3}}, fake{finding: finding{Runs: 2, Remark: "nothing"}}
	for name, tc := range map[string]struct {
		waits   string
		tiers   []tier
		missed  bool
		runs    int
		verdict string
	}{
		"found":            {tiers: []tier{found, fake{tried: &tried}}, runs: 3, verdict: "a test"},
		"found later":      {tiers: []tier{nothing, found}, runs: 3, verdict: "a test"},
		"missed":           {tiers: []tier{nothing}, missed: true, runs: 2, verdict: "NOT FOUND: nothing"},
		"no tiers":         {missed: true, verdict: "NOT FOUND: no tier"},
		"fails by itself":  {tiers: []tier{fake{unsound: bad, finding: finding{By: "a test"}}}, missed: true, verdict: "NOT FOUND: fake fails by itself: bad"},
		"not to be tried":  {tiers: []tier{fake{failure: bad, finding: finding{By: "a test"}}}, missed: true, verdict: "NOT FOUND: fake: bad"},
		"a tier to come":   {tiers: []tier{nothing, later("the simulator")}, runs: 2, verdict: "waits for the simulator"},
		"found without it": {tiers: []tier{later("the simulator"), found}, runs: 3, verdict: "a test"},
		"waits":            {waits: "healing", tiers: []tier{fake{tried: &tried}}, verdict: "waits for healing"},
	} {
		r := try(t.Context(), sabotage.Sabotage{ID: "X01", Waits: tc.waits}, tc.tiers)
		if r.missed() != tc.missed || r.Runs != tc.runs || !strings.HasPrefix(r.verdict(), tc.verdict) {
			t.Errorf("%s: %+v: %s", name, r, r.verdict())
		}
	}
	if tried != 0 {
		t.Error("it went on after it had found the change")
	}
}

// TestFailed: a result names the innermost test that failed.
func TestFailed(t *testing.T) {
	for out, want := range map[string]string{
		"--- FAIL: TestA (0.1s)\n    a_test.go:1: no\n--- FAIL: TestB (0s)\n":                "TestA",
		"--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/one (0s)\n    --- FAIL: TestA/two (0s)": "TestA/one",
		"panic: log: no\n": "^TestA$ (the process ended)",
	} {
		if got := failed([]byte(out), "^TestA$"); got != want {
			t.Errorf("%q: %s, not %s", out, got, want)
		}
	}
	if got := gist([]byte("=== RUN TestA\n   a_test.go:12: seven, not eight\nok")); got != "\n    a_test.go:12: seven, not eight" {
		t.Errorf("%q", got)
	}
}

// TestCommand: flags, the list, the table and JSON.
func TestCommand(t *testing.T) {
	for _, args := range [][]string{{"--only", "X00"}, {"--none"}, {"X01"}, {"--tier", "l2"}, {"--seeds", "0"}} {
		if _, err := command(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%v is allowed", args)
		}
	}
	var out bytes.Buffer
	if found, err := command(t.Context(), []string{"--list", "--only", "X15, X28"}, &out, &out); !found || err != nil {
		t.Fatal(found, err)
	}
	for _, want := range []string{"X15", "./fsm", "X28", "waits for healing"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
	out.Reset()
	if found, err := command(t.Context(), []string{"--only", "X28"}, &out, &bytes.Buffer{}); !found || err != nil {
		t.Fatal(found, err)
	}
	if !strings.HasSuffix(out.String(), "\n0 found, 0 not found, 1 wait\n") {
		t.Errorf("%s", &out)
	}
	out.Reset()
	var results []result
	if _, err := command(t.Context(), []string{"--json", "--only", "X28"}, &out, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &results); err != nil || len(results) != 1 || results[0].ID != "X28" {
		t.Errorf("%v: %s", err, &out)
	}
}

// TestFinds goes all the way for one wrong change: its tests pass, and then fail.
func TestFinds(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a package")
	}
	w, err := newWorkshop()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	g := w.tests("./wal/segment", "^TestGapIsFatal$")
	if err := g.sound(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := g.try(t.Context(), sabotage.X12)
	if err != nil || f.Runs != 1 || !strings.HasPrefix(f.By, "./wal/segment TestGapIsFatal/") {
		t.Errorf("%+v %v", f, err)
	}
	if f, err := g.try(t.Context(), sabotage.X15); err != nil || f.By != "" || f.Remark != "no test came to the change" {
		t.Errorf("one of another package: %+v %v", f, err)
	}
	none := w.tests("./wal/segment", "^TestNone$")
	if err := none.sound(t.Context()); err == nil || !strings.Contains(err.Error(), "no test was run") {
		t.Errorf("no tests: %v", err)
	}
	broken := w.tests("./none", "^TestNone$")
	if _, err := broken.try(t.Context(), sabotage.X12); err == nil {
		t.Error("what cannot be compiled has found the change")
	}
}
