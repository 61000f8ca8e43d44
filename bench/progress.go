package bench

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// progressLine is one line of a terminal that is written over and over. Safe for
// concurrent use.
type progressLine struct {
	out io.Writer // nil: nothing is shown

	mu    sync.Mutex
	shown bool
}

// show replaces the line.
func (p *progressLine) show(format string, args ...any) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = true
	fmt.Fprint(p.out, "\r\x1b[K", clip(fmt.Sprintf(format, args...), 120))
}

// clear removes the line.
func (p *progressLine) clear() {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}

// terminal returns f if a person looks at it, else nil.
func terminal(f *os.File) io.Writer {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return f
}
