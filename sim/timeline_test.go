package sim

import (
	"strings"
	"testing"
	"time"

	"ironman/sim/history"
	"ironman/sim/world"
)

// TestTimeline: the page shows nodes, faults, requests and what was violated, and
// nothing that a node said can be anything but text.
func TestTimeline(t *testing.T) {
	r := Result{Seed: 7, Report: &world.Report{
		Hash: "abc", At: 3 * time.Second,
		Plan:       []world.Action{{N: 1, At: time.Second, ID: "P2", Name: "kill -9 of a node", Node: 2}},
		Moments:    []world.Moment{{Kind: "phase", Text: "birth"}, {At: time.Second, Node: 2, Kind: "fault", Text: "#1 P2", Lasts: time.Second}, {Node: 3, Kind: "it ends itself", Text: "<script>"}},
		Violations: []world.Violation{{Checker: "I1", Text: "lost <b>"}},
		History: []history.Op{{Client: 101, Kind: history.Put, Key: "hot/1", Call: 1e9, Return: 2e9, Status: 200},
			{Client: -2, Kind: history.Get, Key: "hot/1", Call: 1e9, Return: history.Never}},
	}}
	var page strings.Builder
	if err := WriteTimeline(&page, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"seed 7", "node 3", "client 101", "checker", "lost &lt;b&gt;", "#1 P2 kill -9 of a node, node 2", `class="m open"`, `left:24px;width:24px`, "&lt;script&gt;"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Contains(page.String(), "<script>") {
		t.Error("what a node said is markup")
	}
}
