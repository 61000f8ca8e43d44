package sim

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"time"

	"ironman/sim/history"
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

//go:embed timeline.html
var timelinePage string

// pixels of a second of virtual time.
const pixels = 24

type timelineLane struct {
	Name  string
	Marks []timelineMark
}

type timelineMark struct {
	X, Width, Row int
	Class, Title  string
}

// WriteTimeline writes a run as a page that a person can read: a lane for the cluster
// and one for each node with its faults, starts and ends, a lane for each client with
// its requests, and what was violated.
func WriteTimeline(w io.Writer, r Result) error {
	t, err := template.New("timeline").Parse(timelinePage)
	if err != nil {
		return err
	}
	x := func(d time.Duration) int { return int(d.Seconds() * pixels) }
	lanes := []timelineLane{{Name: "cluster"}, {Name: "node 1"}, {Name: "node 2"}, {Name: "node 3"}}
	rows := make([]time.Duration, 64) // when each row of a lane is free again, for faults
	for _, m := range r.Report.Moments {
		mark := timelineMark{X: x(m.At), Width: max(x(m.Lasts), 3), Class: class(m.Kind), Title: m.At.Round(time.Millisecond).String() + " " + m.Kind + " " + m.Text}
		if m.Kind == "fault" {
			for mark.Row = 0; mark.Row < 3 && rows[m.Node*8+mark.Row] > m.At; mark.Row++ {
			}
			rows[m.Node*8+mark.Row] = m.At + m.Lasts
		} else {
			mark.Row = 4
		}
		lanes[m.Node].Marks = append(lanes[m.Node].Marks, mark)
	}
	lanes = append(lanes, clientLanes(r.Report.History, x)...)
	return t.Execute(w, struct {
		Result
		Lanes      []timelineLane
		Width      int
		Seconds    []int
		Violations []world.Violation
	}{r, lanes, x(r.Report.At) + 40, make([]int, int(r.Report.At.Seconds())+1), r.Report.Violations})
}

func class(kind string) string {
	switch kind {
	case "fault":
		return "fault"
	case "start", "serves":
		return kind
	case "phase":
		return "phase"
	}
	return "end"
}

func clientLanes(ops []history.Op, x func(time.Duration) int) []timelineLane {
	var lanes []timelineLane
	place := make(map[int]int)
	for _, o := range ops {
		i, ok := place[o.Client]
		if !ok {
			i = len(lanes)
			place[o.Client] = i
			name := "checker"
			if o.Client > 0 {
				name = fmt.Sprintf("client %d", o.Client)
			}
			lanes = append(lanes, timelineLane{Name: name})
		}
		m := timelineMark{X: x(time.Duration(o.Call)), Width: 2, Class: "ok"}
		switch {
		case o.Open():
			m.Class = "open"
		case o.Kind == history.Get:
			m.Class = "read"
		case o.Status >= 300:
			m.Class = "refused"
		}
		if !o.Open() {
			m.Width = max(2, x(time.Duration(o.Return-o.Call)))
		}
		b, err := json.Marshal(o)
		if err == nil {
			m.Title = string(b)
		}
		lanes[i].Marks = append(lanes[i].Marks, m)
	}
	return lanes
}
