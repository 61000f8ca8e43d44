package bench

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(out io.Writer) error {
	var b bytes.Buffer
	r.appendHead(&b)
	rows := [][]string{{"work", "on", "conns", "ops/s", "MiB/s", "items/s", "p50 ms", "p99 ms", "max ms",
		"errors", "CPU ms/op", "gen ms/op", "RSS MiB", "writes/op", "fsync/op", "rounds"}}
	for _, w := range r.Works {
		for i := range w.Sides {
			rows = append(rows, w.Sides[i].row(&w))
		}
		if w.Ratio != nil {
			rows = append(rows, w.Ratio.row(w.Work))
		}
	}
	if len(rows) > 1 {
		writeRows(&b, rows)
		r.appendFoot(&b)
	}
	if r.Interrupted {
		b.WriteString("\nInterrupted: the figures are of what was done until then.\n")
	}
	_, err := out.Write(b.Bytes())
	return err
}

// appendHead says what was measured, where, and how.
func (r *Report) appendHead(b *bytes.Buffer) {
	fmt.Fprintf(b, "ironman bench, %s\n", r.Date.UTC().Format("2006-01-02 15:04:05 UTC"))
	fmt.Fprintf(b, "machine:  %s\n", r.Machine)
	for _, e := range r.Endpoints {
		server := e.Server
		if server == "" {
			server = "unknown"
		}
		fmt.Fprintf(b, "%s:        %s, server: %s\n", e.Name, strings.Join(e.URLs, " "), server)
		durability := e.Durability
		if durability == "" {
			durability = "not stated: it cannot be seen from outside"
		}
		fmt.Fprintf(b, "          durability: %s\n", durability)
		if e.Beside != "" {
			fmt.Fprintf(b, "          beside:     %s\n", e.Beside)
		}
		for _, w := range e.Warnings {
			fmt.Fprintf(b, "          warning: %s\n", w)
		}
	}
	payload := "signed"
	if !r.SignedPayload {
		payload = "unsigned"
	}
	fmt.Fprintf(b, "rounds:   %d of %v", r.Rounds, time.Duration(r.RunSeconds*float64(time.Second)).Round(time.Millisecond))
	if len(r.Endpoints) > 1 {
		b.WriteString(", alternating A B, B A, ...")
	}
	fmt.Fprintf(b, "; payloads %s; every byte read is checked; seed %d\n\n", payload, r.Seed)
}

// appendFoot explains the table, and lists errors.
func (r *Report) appendFoot(b *bytes.Buffer) {
	b.WriteString("\nCPU: all server processes given; gen: this generator; RSS: the most seen; writes: system calls, to sockets too;\n" +
		"rounds: ops/s of the slowest and the fastest round. A/B: geometric mean over rounds of A's figure divided by B's,\n" +
		"and the smallest and largest.\n")
	for _, w := range r.Works {
		for i := range w.Sides {
			f := &w.Sides[i]
			for _, m := range f.sortedMessages() {
				fmt.Fprintf(b, "error: %s %s: %d times: %s\n", w.Work, f.Endpoint, f.Messages[m], m)
			}
		}
	}
}

func (f *Figures) row(w *WorkReport) []string {
	span := "-"
	if len(f.RoundRates) > 0 {
		span = number(slices.Min(f.RoundRates)) + ".." + number(slices.Max(f.RoundRates))
	}
	return []string{
		w.Work, f.Endpoint, fmt.Sprint(w.Concurrency), number(f.OpsPerSec), someNumber(f.MiBPerSec), someNumber(f.ItemsPerSec),
		number(f.P50ms), number(f.P99ms), number(f.MaxMs), fmt.Sprint(f.Errors), maybe(f.ServerCPUms, 1), maybe(f.ClientCPUms, 1),
		maybe(f.RSSBytes, mib), maybe(f.WritesPerOp, 1), maybe(f.SyncsPerOp, 1), span,
	}
}

func (r *Ratio) row(work string) []string {
	span := "-"
	if s := r.OpsPerSec; s != nil {
		span = factor(s.Min) + ".." + factor(s.Max)
	}
	return []string{work, "A/B", "", mean(r.OpsPerSec), "", "", mean(r.P50), mean(r.P99), "", "", mean(r.ServerCPU),
		"", "", "", "", span}
}

func mean(s *Spread) string {
	if s == nil {
		return "-"
	}
	return factor(s.Mean)
}

func factor(v float64) string { return number(v) + "x" }

// number writes three digits or more.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a < 1:
		return fmt.Sprintf("%.3f", v)
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// someNumber writes nothing for a figure that does not apply.
func someNumber(v float64) string {
	if v == 0 {
		return "-"
	}
	return number(v)
}

// maybe writes a figure in some unit, if it is known.
func maybe(v *float64, unit float64) string {
	if v == nil {
		return "-"
	}
	return number(*v / unit)
}

// writeRows aligns columns: the first two to the left, all others to the right.
func writeRows(b *bytes.Buffer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fill := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case i == 0:
				line.WriteString(cell + fill)
			case i == 1:
				line.WriteString("  " + cell + fill)
			default:
				line.WriteString("  " + fill + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
