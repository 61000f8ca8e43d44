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

// build compiles something under the tag, once, and returns its path. The command is
// go's, and its arguments but for where to put it.
func (w *workshop) build(ctx context.Context, name, command string, args ...string) (string, error) {
	path := filepath.Join(w.dir, name)
	err, done := w.built[name]
	if !done {
		c := exec.CommandContext(ctx, "go", append([]string{command, "-tags", "sabotage", "-o", path}, args...)...)
		c.Dir, c.Env = w.root, append(os.Environ(), "CGO_ENABLED=0")
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
	whole   bool // not -short
	command bool // the tests start processes: those of the binary under the tag
}

// limit is how long tests may take. That they do not end shows nothing.
const limit = 3 * time.Minute

// tests is a tier of tests that match a pattern.
func (w *workshop) tests(pkg, pattern string) goTest {
	return goTest{w: w, pkg: pkg, pattern: pattern, times: 1}
}

// again may be run n times.
func (g goTest) again(n int) goTest { g.times = n; return g }

// processes runs the command as other processes, which must be under the tag, too.
func (g goTest) processes() goTest { g.command = true; return g }

// full runs all of the tests, not their -short part.
func (g goTest) full() goTest { g.whole = true; return g }

func (g goTest) String() string {
	s := g.pkg + " " + g.pattern
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
	c, err := g.prepare(ctx, "")
	if err == nil {
		var out []byte
		if out, err = c.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w%s", err, gist(out))
		} else if !bytes.Contains(out, []byte("--- PASS: ")) {
			err = errors.New("no test was run")
		}
	}
	if ctx.Err() == nil {
		g.w.passed[name] = err
	}
	return err
}

// try implements tier.
func (g goTest) try(ctx context.Context, id sabotage.ID) (f finding, err error) {
	f.Tier = tierL0
	reached := g.command // the processes do not say so where it can be seen
	for f.Runs < g.times {
		c, err := g.prepare(ctx, id)
		if err != nil {
			return f, err
		}
		out, err := c.CombinedOutput()
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		f.Runs++
		f.CPU += (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
		reached = reached || bytes.Contains(out, []byte(sabotage.Reached+string(id)))
		switch {
		case err == nil:
			continue
		case bytes.Contains(out, []byte("panic: test timed out")):
			return f, fmt.Errorf("it did not end within %v", limit)
		case !reached:
			return f, fmt.Errorf("it fails, but never came to the change%s", gist(out))
		}
		f.By = g.pkg + " " + failed(out, g.pattern)
		return f, nil
	}
	f.Remark = "found by nobody"
	if !reached {
		f.Remark = "no test came to the change"
	}
	return f, nil
}

// prepare compiles what is to run under a wrong change, or none.
func (g goTest) prepare(ctx context.Context, id sabotage.ID) (*exec.Cmd, error) {
	name := strings.Trim(strings.ReplaceAll(g.pkg, "/", "-"), ".-") + ".test"
	binary, err := g.w.build(ctx, name, "test", "-c", g.pkg)
	if err != nil {
		return nil, fmt.Errorf("it cannot be compiled: %w", err)
	}
	c := exec.CommandContext(ctx, binary, "-test.v", "-test.run", g.pattern, "-test.timeout", limit.String())
	if !g.whole {
		c.Args = append(c.Args, "-test.short")
	}
	c.Dir = filepath.Join(g.w.root, g.pkg)
	c.Env = append(os.Environ(), sabotage.Variable+"="+string(id)) // the last one counts
	if g.command {
		command, err := g.w.build(ctx, "ironman", "build", "./server/cmd/ironman")
		if err != nil {
			return nil, fmt.Errorf("the command cannot be compiled: %w", err)
		}
		c.Env = append(c.Env, "IRONMAN_BINARY="+command)
	}
	return c, nil
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
