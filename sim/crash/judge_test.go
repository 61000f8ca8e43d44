package crash

import (
	"strings"
	"testing"
)

// TestKnowledge: what may be seen after an end of the node.
func TestKnowledge(t *testing.T) {
	put := &request{what: "put", changes: set("a", "1")}
	over := &request{what: "over", changes: set("a", "2")}
	both := &request{what: "both", changes: set("a", "", "b", "3")}
	refused := &request{what: "refused", changes: set("a", "4")}
	done := func(r *request) []fact { return []fact{{asked: r}, {answered: r, done: true}} }
	asked := func(r *request) []fact { return []fact{{asked: r}} }
	for _, c := range []struct {
		name  string
		facts [][]fact
		seen  map[string]string
		wrong string // part of what is said; "": nothing
	}{
		{"acknowledged", [][]fact{done(put)}, set("a", "1"), ""},
		{"lost", [][]fact{done(put)}, set(), `a is "", not "1"`},
		{"older", [][]fact{done(put), done(over)}, set("a", "1"), `a is "1", not "2"`},
		{"open, not done", [][]fact{done(put), asked(over)}, set("a", "1"), ""},
		{"open, done", [][]fact{done(put), asked(over)}, set("a", "2"), ""},
		{"open, neither", [][]fact{done(put), asked(over)}, set("a", "3"), `a is "3", not "1"`},
		{"open, done by half", [][]fact{done(put), asked(both)}, set("a", "1", "b", "3"), `a is "1", not ""`},
		{"open, done by the other half", [][]fact{done(put), asked(both)}, set(), `b is "", not "3"`},
		{"open, done as a whole", [][]fact{done(put), asked(both)}, set("b", "3"), ""},
		{"refused", [][]fact{done(put), {{asked: refused}, {answered: refused}}}, set("a", "4"), `a is "4", not "1"`},
		{"never asked for", [][]fact{done(put)}, set("a", "1", "x", "9"), `x is "9", not ""`},
		{"read, and then not there", [][]fact{asked(put), {{seen: set("a", "1")}}}, set(), `a is "", not "1"`},
		{"read as not there, and then there", [][]fact{asked(put), {{seen: set()}}}, set("a", "1"), `a is "1", not ""`},
	} {
		var facts []fact
		for _, f := range c.facts {
			facts = append(facts, f...)
		}
		switch err := know(facts).allows(c.seen); {
		case err == nil && c.wrong != "":
			t.Errorf("%s: nothing is found", c.name)
		case err != nil && (c.wrong == "" || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWays(t *testing.T) {
	for _, text := range []string{"1n", "120n,33s,7k"} {
		if w, err := parseWay(text); err != nil || w.String() != text {
			t.Errorf("%s: %v, %v", text, w, err)
		}
	}
	for _, text := range []string{"", "n", "1", "1x", "1n,", "1n,,2n", "one"} {
		if w, err := parseWay(text); err == nil {
			t.Errorf("%q is %v", text, w)
		}
	}
}
