package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar is a progress bar on standard error, if a person looks at it, or a line there now
// and then. Not safe for concurrent use.
type bar struct {
	p           *progressbar.ProgressBar // nil: standard error is no terminal
	done, steps int
	text        string
	told        time.Time
}

// barPause is at least between two lines.
const barPause = time.Minute

func newBar(steps int) *bar {
	b := &bar{steps: steps, told: time.Now()}
	info, err := os.Stderr.Stat()
	if err == nil && info.Mode()&os.ModeCharDevice != 0 {
		b.p = progressbar.NewOptions(steps, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish())
	}
	return b
}

func (b *bar) show(format string, args ...any) {
	b.text = fmt.Sprintf(format, args...)
	if b.p != nil {
		b.p.Describe(b.text)
	}
}

func (b *bar) advance() {
	b.done++
	switch {
	case b.p != nil:
		_ = b.p.Add(1) // a terminal that is gone shows nothing
	case time.Since(b.told) >= barPause && b.done < b.steps:
		b.told = time.Now()
		fmt.Fprintf(os.Stderr, "%d of %d: %s\n", b.done, b.steps, b.text)
	}
}

func (b *bar) end() {
	if b.p != nil {
		_ = b.p.Clear()
	}
}

// progress is a bar of events, or of something else, in steps of a thousandth.
type progress struct {
	what, of string
	bar      *bar
	done     uint64
}

func newProgress(what string) *progress { return &progress{what: what, of: "events"} }

const progressSteps = 1000

func (p *progress) at(done, total uint64) {
	if total == 0 {
		return
	}
	if p.bar == nil {
		p.bar = newBar(progressSteps)
	}
	p.bar.show("%s %d of %d %s", p.what, done, total, p.of)
	for ; p.done < done*progressSteps/total; p.done++ {
		p.bar.advance()
	}
}

func (p *progress) end() {
	if p.bar != nil {
		p.bar.end()
	}
}
