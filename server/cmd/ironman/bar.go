package main

import (
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
)

// bar is a progress bar on standard error, if a person looks at it. Not safe for
// concurrent use.
type bar struct{ p *progressbar.ProgressBar }

func newBar(steps int) *bar {
	info, err := os.Stderr.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &bar{}
	}
	return &bar{progressbar.NewOptions(steps, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish())}
}

func (b *bar) show(format string, args ...any) {
	if b.p != nil {
		b.p.Describe(fmt.Sprintf(format, args...))
	}
}

func (b *bar) advance() {
	if b.p != nil {
		_ = b.p.Add(1) // a terminal that is gone shows nothing
	}
}

func (b *bar) end() {
	if b.p != nil {
		_ = b.p.Clear()
	}
}
