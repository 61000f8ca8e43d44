package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ironman/sim/sabotage"
)

// workshop compiles what tiers run, each once, and remembers which pass without a
// wrong change.
type workshop struct {
	dir    string // of binaries; goes with the workshop
	root   string // of the module
	built  map[string]error
	passed map[string]error
}

func newWorkshop() (*workshop, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ironman-sabotage-")
	if err != nil {
		return nil, err
	}
	return &workshop{
		dir: dir, root: filepath.Dir(strings.TrimSpace(string(out))),
		built: make(map[string]error), passed: make(map[string]error),
	}, nil
}

func (w *workshop) close() { _ = os.RemoveAll(w.dir) }

// build compiles something under the tag, once, and returns its path.
func (w *workshop) build(ctx context.Context, name string, race bool, args ...string) (string, error) {
	path := filepath.Join(w.dir, name)
	err, done := w.built[name]
	if !done {
		c := exec.CommandContext(ctx, "go", append(append([]string{}, args[0], "-tags", "sabotage", "-o", path), args[1:]...)...)
		c.Dir, c.Env = w.root, append(os.Environ(), "CGO_ENABLED=0")
		if race {
			c.Env = append(os.Environ(), "CGO_ENABLED=1")
		}
		if out, failed := c.CombinedOutput(); failed != nil {
			err = fmt.Errorf("%w: %s", failed, bytes.TrimSpace(out))
		}
		w.built[name] = err
	}
	return path, err
}

// goTest is a tier: tests of one package that a wrong change makes fail.
type goTest struct {
	w       *workshop
	pkg     string // directory below the module
	pattern string // of -run
	// times is how often it may be run, where chance plays a part.
	times   int
	race    bool
	whole   bool // not -short
	command bool // the tests start processes: those of the binary under the tag
	// hangs: that it does not end in time counts as found.
	hangs bool
	limit time.Duration
}

// tests is a tier of tests that match a pattern.
func (w *workshop) tests(pkg, pattern string) goTest {
	return goTest{w: w, pkg: pkg, pattern: pattern, times: 1, limit: 3 * time.Minute}
}

// again may be run n times.
func (g goTest) again(n int) goTest { g.times = n; return g }

// raced runs under the race detector.
func (g goTest) raced() goTest { g.race = true; return g }

// processes runs the command as other processes, which must be under the tag, too.
func (g goTest) processes() goTest { g.command = true; return g }

// full runs all of the tests, not their -short part.
func (g goTest) full() goTest { g.whole = true; return g }

// mayHang counts a test that does not end in time as one that fails.
func (g goTest) mayHang(limit time.Duration) goTest { g.hangs, g.limit = true, limit; return g }

func (g goTest) String() string {
	s := g.pkg + " " + g.pattern
	if g.race {
		s += " -race"
	}
	if g.times > 1 {
		s += fmt.Sprintf(", up to %d times", g.times)
	}
	return s
}

// sound implements tier.
func (g goTest) sound(ctx context.Context) error {
	name := g.String()
	err, known := g.w.passed[name]
	if known {
		return err
	}
	out, _, err := g.run(ctx, "")
	switch {
	case err != nil:
		err = fmt.Errorf("%w%s", err, gist(out))
	case !bytes.Contains(out, []byte("--- PASS: ")):
		err = errors.New("no test was run")
	}
	if ctx.Err() == nil {
		g.w.passed[name] = err
	}
	return err
}

// try implements tier.
func (g goTest) try(ctx context.Context, id sabotage.ID) (f finding, err error) {
	seen := false
	for f.Runs < g.times {
		out, over, err := g.run(ctx, id)
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		f.Runs++
		seen = seen || bytes.Contains(out, []byte(sabotage.Reached+string(id)))
		switch {
		case err == nil:
			continue
		case over && !g.hangs:
			return f, fmt.Errorf("it did not end within %v", g.limit)
		case over:
			f.By = fmt.Sprintf("%s %s (it does not end)", g.pkg, g.pattern)
		default:
			f.By = g.pkg + " " + failed(out, g.pattern)
		}
		if !seen && !g.command {
			return finding{Runs: f.Runs}, fmt.Errorf("it fails, but never came to the change%s", gist(out))
		}
		return f, nil
	}
	f.Remark = "found by nobody"
	if !seen && !g.command {
		f.Remark = "no test came to the change"
	}
	return f, nil
}

// run runs the tests under a wrong change, or none, and returns what they said. over
// tells that they did not end in time.
func (g goTest) run(ctx context.Context, id sabotage.ID) (out []byte, over bool, err error) {
	name := strings.Trim(strings.ReplaceAll(g.pkg, "/", "-"), ".-") + ".test"
	args := []string{"test", "-c"}
	if g.race {
		name, args = "race-"+name, append(args, "-race")
	}
	binary, err := g.w.build(ctx, name, g.race, append(args, g.pkg)...)
	if err != nil {
		return nil, false, fmt.Errorf("it cannot be compiled: %w", err)
	}
	run := []string{"-test.v", "-test.run", g.pattern, "-test.timeout", g.limit.String()}
	if !g.whole {
		run = append(run, "-test.short")
	}
	c := exec.CommandContext(ctx, binary, run...)
	c.Dir = filepath.Join(g.w.root, g.pkg)
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, sabotage.Variable+"=") })
	c.Env = append(c.Env, sabotage.Variable+"="+string(id))
	if g.command {
		command, err := g.w.build(ctx, "ironman", false, "build", "./server/cmd/ironman")
		if err != nil {
			return nil, false, fmt.Errorf("the command cannot be compiled: %w", err)
		}
		c.Env = append(c.Env, "IRONMAN_BINARY="+command)
	}
	out, err = c.CombinedOutput()
	return out, bytes.Contains(out, []byte("panic: test timed out")), err
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// failed names the innermost test that failed first; what was running where the
// process ended instead.
func failed(out []byte, pattern string) string {
	var names []string
	for _, m := range failure.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) == 0 {
		return pattern + " (the process ended)"
	}
	best := names[0]
	for _, n := range names {
		if strings.HasPrefix(n, best+"/") {
			best = n
		}
	}
	return best
}

var telling = regexp.MustCompile(`(?m)^.*(--- FAIL: |panic: |_test\.go:\d+: |DATA RACE).*$`)

// gist is the first lines of what tests said that tell why they failed.
func gist(out []byte) string {
	var b strings.Builder
	for _, line := range telling.FindAll(out, 6) {
		fmt.Fprintf(&b, "\n    %.300s", bytes.TrimSpace(line))
	}
	return b.String()
}
