package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"ironman/server/audit"
)

// TestEntriesAtOnce: who follows the feed sees each event when it comes, and nothing that
// a client chose changes the terminal.
func TestEntriesAtOnce(t *testing.T) {
	var b bytes.Buffer
	p := newEntryPrinter(&b, false, true)
	for seq := range uint64(3) {
		x := &audit.Entry{Seq: seq, Operation: "PutObject", Name: "books", Keys: []string{"a\x1b[2Jb"}, Outcome: "accepted"}
		if err := p.print(x); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if last := lines[len(lines)-1]; len(lines) != int(seq)+2 || !strings.Contains(last, `books/"a\x1b[2Jb"`) || strings.Contains(last, "\x1b") {
			t.Errorf("behind event %d: %q", seq, lines)
		}
	}
}

// TestEntriesArePlain: neither as JSON nor in a table can a name command the terminal,
// reorder a line, or make up columns.
func TestEntriesArePlain(t *testing.T) {
	for _, evil := range []string{"a\u009b2Jb", "a\u202eb", "k      accepted  owner", "\x7f"} {
		for _, asJSON := range []bool{true, false} {
			var b bytes.Buffer
			p := newEntryPrinter(&b, asJSON, false)
			x := &audit.Entry{Name: "books", Keys: []string{evil}, Outcome: "accepted"}
			if err := errors.Join(p.print(x), p.end()); err != nil {
				t.Fatal(err)
			}
			if bytes.ContainsFunc(b.Bytes(), commanding) || !asJSON && strings.Contains(b.String(), " "+evil) || !asJSON && strings.Contains(b.String(), "/"+evil) {
				t.Errorf("%q as JSON %v: %q", evil, asJSON, b.String())
			}
			if !asJSON {
				continue
			}
			var back audit.Entry
			if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Keys[0] != evil {
				t.Errorf("%q became %q, %v", evil, back.Keys, err)
			}
		}
	}
}
