package main

import (
	"bytes"
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
