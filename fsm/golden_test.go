package fsm

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestGoldenLog replays recorded logs to the digests of their states and ledgers
// that were recorded with them. A log that was released is never written again: a
// change that breaks it needs a feature level. With -update one that is missing is
// recorded.
func TestGoldenLog(t *testing.T) {
	for _, level := range []int{1, 2, 3} {
		golden(t, fmt.Sprintf("testdata/golden/level-%d.log", level), func() []byte { return recordGolden(t, level) }, 100)
	}
}

// golden replays one recorded log; record makes one that is missing.
func golden(t *testing.T, path string, record func() []byte, window uint64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		b = record()
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	var want string
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 4<<20)
	for sc.Scan() {
		if w, ok := strings.CutPrefix(sc.Text(), "replay "); ok {
			want = w
			continue
		}
		data, err := hex.DecodeString(sc.Text())
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, Entry{Index: uint64(len(entries)) + 1, Term: 1, Data: data})
	}
	m := memory(t, Options{Window: window})
	m.Apply(entries)
	if got := replayDigest(t, m); got != want || len(entries) < 100 {
		t.Errorf("%s: %d entries replay to %s, recorded was %s", path, len(entries), got, want)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func replayDigest(t *testing.T, m *Machine) string {
	t.Helper()
	d, err := m.ReplayDigest()
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(d[:])
}

func recordGolden(t *testing.T, level int) []byte {
	w := newWorldAt(t, uint32(level), seeded(uint64(2025+level)), 100, 3600e9)
	w.grow(1000)
	return w.recorded(t, 100)
}

// recorded is the world's log as a golden file, with what it replays to.
func (w *world) recorded(t *testing.T, window uint64) []byte {
	m := memory(t, Options{Window: window})
	m.Apply(w.log)
	var b []byte
	for _, e := range w.log {
		b = fmt.Appendf(b, "%x\n", e.Data)
	}
	b = fmt.Appendf(b, "replay %s\n", replayDigest(t, m))
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}
