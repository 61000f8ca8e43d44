package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"ironman/server/audit"
)

// entryPrinter prints entries of the record: as JSON, as a table, or each at once.
type entryPrinter struct {
	print func(*audit.Entry) error
	end   func() error
}

var entryColumns = []string{"SEQ", "TIME", "ACTOR", "EVENT", "ON", "OUTCOME", "WHY"}

func newEntryPrinter(out io.Writer, asJSON, atOnce bool) *entryPrinter {
	nothing := func() error { return nil }
	if asJSON {
		return &entryPrinter{func(x *audit.Entry) error {
			b, err := json.Marshal(x)
			if err == nil {
				_, err = fmt.Fprintf(out, "%s\n", plainJSON(b))
			}
			return err
		}, nothing}
	}
	if atOnce { // a table would keep its lines until it knows how wide they are
		row := func(cells []string) error {
			_, err := fmt.Fprintf(out, "%-9s %-24s  %-12s  %-22s  %-32s  %-10s  %s\n",
				cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6])
			return err
		}
		first := true
		return &entryPrinter{func(x *audit.Entry) error {
			if first {
				first = false
				if err := row(entryColumns); err != nil {
					return err
				}
			}
			return row(entryRow(x))
		}, nothing}
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(entryColumns, "\t"))
	lines := 0
	return &entryPrinter{func(x *audit.Entry) error {
		if lines++; lines%1000 == 0 { // a table of millions of lines is not kept in memory
			if err := w.Flush(); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintln(w, strings.Join(entryRow(x), "\t"))
		return err
	}, w.Flush}
}

// entryRow is an entry in the columns of a table.
func entryRow(x *audit.Entry) []string {
	return []string{
		strconv.FormatUint(x.Seq, 10), x.Time.Format("2006-01-02T15:04:05.000Z07:00"),
		quoted(either(x.ActorName, x.Actor)), either(x.Operation, x.Kind), on(x), result(x), why(x),
	}
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// quoted shows a text that a client chose so that it cannot change a terminal or a table.
func quoted(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` || strings.Contains(s, " ") {
		return q
	}
	return s
}

// on is what an event is about.
func on(x *audit.Entry) string {
	s := quoted(x.Name)
	if s == "" && x.Bucket != 0 {
		s = "bucket " + strconv.FormatUint(x.Bucket, 10)
	}
	if len(x.Keys) > 0 {
		s += "/" + quoted(x.Keys[0])
	}
	if more := len(x.Keys) - 1; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	switch {
	case x.SourceBucket != "":
		s += " of " + quoted(x.SourceBucket) + "/" + quoted(x.SourceKey)
	case x.SourceKey != "":
		s += " of " + quoted(x.SourceKey)
	}
	if x.Erased > 0 {
		s += fmt.Sprintf(" (%d items erased or withheld)", x.Erased)
	}
	return either(s, "-")
}

func result(x *audit.Entry) string {
	refused := 0
	for _, s := range x.Subs {
		if s != "accepted" {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Sprintf("%s, %d of %d refused", x.Outcome, refused, len(x.Subs))
	}
	return x.Outcome
}

func why(x *audit.Entry) string {
	s := x.Why.By
	switch {
	case x.Why.Policy != "" || x.Why.Statement != "":
		s += " " + quoted(strings.Trim(x.Why.Policy+"#"+either(x.Why.Statement, strconv.Itoa(int(x.Why.Position))), "#"))
	case x.Why.By == "acl_grant":
		s += fmt.Sprintf(" %d", x.Why.Position)
	}
	return s
}
