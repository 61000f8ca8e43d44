package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"ironman/sim/sabotage"
)

// What the simulator needed the last time that somebody looked, in lines of a tier, an
// id, a number of seeds (0: it was not found in as many as there were) and the checkers
// that fired. --record writes it anew.
//
//go:embed record.txt
var recorded string

// grown is how many times more seeds than recorded a wrong change may take: a number
// that grows further says that the tests have become worse. No number below few counts,
// for the fast form does not repeat.
const (
	grown = 5
	few   = 3
)

// note is a line of the record.
type note struct {
	tier     string
	id       sabotage.ID
	seeds    int
	checkers string
}

func (n note) most() int { return grown * max(n.seeds, few) }

// parseRecord reads a record.
func parseRecord(text string) (notes []note, err error) {
	in := bufio.NewScanner(strings.NewReader(text))
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) < 3 {
			return nil, fmt.Errorf("record: %q", in.Text())
		}
		n, err := strconv.Atoi(f[2])
		if err != nil {
			return nil, fmt.Errorf("record: %q: %w", in.Text(), err)
		}
		notes = append(notes, note{tier: f[0], id: sabotage.ID(f[1]), seeds: n, checkers: strings.Join(f[3:], " ")})
	}
	return notes, in.Err()
}

// compare says what is worse than recorded; "": nothing. A change that was found once
// and is not any more was missed, which is said elsewhere.
func compare(notes []note, r result) string {
	i := slices.IndexFunc(notes, func(n note) bool { return n.tier == r.Tier && n.id == r.ID })
	if i < 0 || r.By == "" || notes[i].seeds == 0 || r.Runs <= notes[i].most() {
		return ""
	}
	return fmt.Sprintf("it took %d seeds, and %d when it was recorded", r.Runs, notes[i].seeds)
}

// update puts results of simulated tiers in the place of what was recorded of them.
func update(notes []note, results []result) []note {
	for _, r := range results {
		if r.Tier != tierFast && r.Tier != tierReplay {
			continue
		}
		n := note{tier: r.Tier, id: r.ID, checkers: "-"}
		if r.By != "" {
			n.seeds, n.checkers = r.Runs, strings.Join(r.Checkers, " ")
		}
		notes = slices.DeleteFunc(notes, func(o note) bool { return o.tier == n.tier && o.id == n.id })
		notes = append(notes, n)
	}
	slices.SortFunc(notes, func(a, b note) int { return strings.Compare(a.tier+string(a.id), b.tier+string(b.id)) })
	return notes
}

// writeRecord is what parseRecord reads.
func writeRecord(out io.Writer, notes []note) error {
	fmt.Fprintln(out, "# tier, wrong change, seeds until it was found (0: not found), checkers that fired")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, n := range notes {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", n.tier, n.id, n.seeds, n.checkers)
	}
	return w.Flush()
}

// saveRecord writes the record to its file.
func saveRecord(name string, notes []note) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	err = writeRecord(f, notes)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
