package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"ironman/sim/sabotage"
)

// verdict says in few words what became of a wrong change.
func (r result) verdict() string {
	switch {
	case r.Waits != "":
		return "waits for " + r.Waits
	case r.Worse != "":
		return r.By + ": WORSE: " + r.Worse
	case r.By != "":
		return r.By
	case r.Later != "":
		return "waits for " + r.Later
	}
	return "NOT FOUND: " + r.Remark
}

// line tells of the progress.
func (r result) line() string {
	return fmt.Sprintf("%s  %6.1f s  %s", r.ID, r.Seconds, r.verdict())
}

// writeTable writes the results for people.
func writeTable(out io.Writer, results []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "id\ttier\tfound by\truns\tCPU s\tseconds\twhat")
	missed, waiting := 0, 0
	for _, r := range results {
		verdict, _, _ := strings.Cut(r.verdict(), "\n")
		runs := ""
		if r.Runs > 0 {
			runs = fmt.Sprint(r.Runs)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f\t%.1f\t%s\n", r.ID, r.Tier, verdict, runs, r.CPU, r.Seconds, r.What)
		switch {
		case r.missed():
			missed++
		case r.By == "":
			waiting++
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d found, %d not found, %d wait\n", len(results)-missed-waiting, missed, waiting)
	return err
}

// writeJSON writes the results for other programs.
func writeJSON(out io.Writer, results []result) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(results)
}

// writeList says what is to find what.
func writeList(out io.Writer, chosen []sabotage.Sabotage, tiers map[sabotage.ID][]tier) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range chosen {
		fmt.Fprintf(w, "%s\t%s\n", s.ID, s.What)
		if s.Waits != "" {
			fmt.Fprintf(w, "\t  waits for %s\n", s.Waits)
		}
		for _, t := range tiers[s.ID] {
			fmt.Fprintf(w, "\t  %s\n", t)
		}
	}
	return w.Flush()
}
