package world

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// closeLimit is how long a process may take, once it was closed in order, until nothing
// of it is left: longer than whoever a deadline alone can end.
const closeLimit = 30 * time.Second

// label names a process in the labels of its goroutines. Goroutines inherit them from
// those that start them.
const label = "process"

func (p *process) String() string { return fmt.Sprintf("start %d of node %d", p.number, p.node.n) }

// claim marks the goroutine that calls it, and all that it starts from now on, as the
// process's.
func (p *process) claim() {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, p.String())))
}

// checkClosed is called when the process has been closed in order: what it had from its
// machine it has given back (I14). That may take a moment, for requests that were cut off.
func (p *process) checkClosed() {
	w := p.node.w
	if w.until(closeLimit, func() bool { return p.ending() || len(p.left()) == 0 }) {
		return
	}
	w.violated("I14", "%v was closed, and has not given back %s", p, few(p.left()))
}

// ending tells whether it was ended meanwhile, and owes nothing any more.
func (p *process) ending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// left is what it still has of its machine.
func (p *process) left() []string {
	var all []string
	for _, path := range p.disk.Handles() {
		all = append(all, "the file "+path)
	}
	for _, c := range p.host.Held() {
		all = append(all, "the connection or port "+c)
	}
	p.mu.Lock()
	s := p.server
	p.mu.Unlock()
	if writing, reading := s.Buffered(); writing != 0 || reading != 0 {
		all = append(all, fmt.Sprintf("buffers of %d bytes to write and %d to read", writing, reading))
	}
	return all
}

// checkGoroutines: nothing runs any more of processes that are gone (I14).
func (w *World) checkGoroutines(gone []*process) {
	var left []string
	still := func() bool {
		running := goroutines()
		left = left[:0]
		for _, p := range gone {
			for _, g := range running[p.String()] {
				left = append(left, p.String()+": "+g)
			}
		}
		return len(left) > 0
	}
	if !w.until(closeLimit, func() bool { return !still() }) {
		w.violated("I14", "goroutines are left of processes that are gone: %s", few(left))
	}
}

// goroutines lists those that run, by their process: how many of a kind, where they
// began and where they stand.
func goroutines() map[string][]string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		panic(err) // a buffer takes everything
	}
	return parseGoroutines(&b)
}

// parseGoroutines reads the text form of a profile of goroutines: paragraphs, each with
// a count, the labels in a line, and the functions that are under way, innermost first.
func parseGoroutines(profile *bytes.Buffer) map[string][]string {
	all := make(map[string][]string)
	var count, process string
	var stack []string
	in := bufio.NewScanner(profile)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := in.Text()
		fields := strings.Fields(line)
		switch {
		case line == "" && process != "" && len(stack) > 0:
			g := fmt.Sprintf("%s of %s, in %s", count, stack[len(stack)-1], stack[0])
			all[process] = append(all[process], g)
		case strings.HasPrefix(line, "# labels: "):
			process = labelOf(line)
		case len(fields) > 2 && fields[1] == "@":
			count, process, stack = fields[0], "", nil
		case len(fields) > 2 && fields[0] == "#":
			function, _, _ := strings.Cut(fields[2], "+0x")
			stack = append(stack, function)
		}
	}
	for _, g := range all {
		slices.Sort(g)
	}
	return all
}

// labelOf finds the process in a line of labels, {"process":"start 1 of node 2"}.
func labelOf(line string) string {
	_, after, ok := strings.Cut(line, `"`+label+`":"`)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(after, `"`)
	return name
}

// few names the first of a list.
func few(all []string) string {
	const most = 5
	if len(all) <= most {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:most], "; "), len(all)-most)
}
