package world

import (
	"time"

	"ironman/sim/history"
)

// SeedVariable is the environment variable by which a process of TestFast is told its
// only seed. A run in a bubble is a process of its own: goroutines of a server that
// died in the middle of something stay for ever, and a bubble does not end before they
// do.
const SeedVariable = "IRONMAN_SIM_SEED"

// Config of a run. With the module's digest it determines everything that happens.
type Config struct {
	Seed uint64 `json:"seed"`
	// Span is how long faults are injected under load, in virtual time: the safety
	// phase. What follows, until everything has healed and was checked, comes on top.
	Span time.Duration `json:"span"`
	// Faults are the kinds of faults to inject, by their ids; nil: all. An empty list
	// that is not nil is a run without faults.
	Faults []string `json:"faults"`
	// Without are the numbers of planned faults that are left out, to find out which
	// of them matter.
	Without []int `json:"without,omitempty"`
	// Until ends the run at a moment, in the middle of things; 0: at its end.
	Until time.Duration `json:"until,omitempty"`
	// Clients make requests, each with pauses of Think on average.
	Clients int           `json:"clients"`
	Think   time.Duration `json:"think"`
	// Latency gives disks their delays, and faults that are delays (D10). Not for a
	// synctest bubble, where time does not pass while anybody waits for a mutex, whose
	// holder may wait for a disk.
	Latency bool `json:"latency"`
	// TLS lets nodes speak TLS to each other; without, they speak plain text.
	TLS bool `json:"tls,omitempty"`
	// Trace emits every event of the trace, Log what the nodes say.
	Trace    bool   `json:"trace,omitempty"`
	Log      bool   `json:"log,omitempty"`
	Sabotage string `json:"sabotage,omitempty"`
}

// Message is one line of a guest, but for lines of the trace.
type Message struct {
	Progress *Progress `json:"progress,omitempty"`
	Report   *Report   `json:"report,omitempty"`
}

// Progress is where a run stands.
type Progress struct {
	At       time.Duration `json:"at"`
	Answered int           `json:"answered"` // requests
	Fired    int           `json:"fired"`    // faults
	Phase    string        `json:"phase"`
}

// Report is what came of a run.
type Report struct {
	Hash     string        `json:"hash"`   // of the trace
	Traced   int           `json:"traced"` // events in it
	At       time.Duration `json:"at"`     // virtual time at the end
	Answered int           `json:"answered"`
	Open     int           `json:"open"` // requests whose outcome is not known
	Events   uint64        `json:"events"`
	// Healed is how long all nodes took to serve behind the last fault.
	Healed time.Duration `json:"healed"`
	Fired  []Fired       `json:"fired"`
	// Done is how often clients have seen done what is rarer than a request.
	Done       map[string]int `json:"done"`
	Plan       []Action       `json:"plan"`
	Violations []Violation    `json:"violations"`
	History    []history.Op   `json:"history"`
	Moments    []Moment       `json:"moments"`
}

// Fired counts how often a fault happened, not how often it was asked for.
type Fired struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Violation is something that must never be.
type Violation struct {
	Checker string        `json:"checker"` // the invariant or checker, I1 or C4
	At      time.Duration `json:"at"`
	Text    string        `json:"text"`
}

// Moment is something that a person wants to see of a run: a fault, a node's start
// or end, a new leader.
type Moment struct {
	At   time.Duration `json:"at"`
	Node int           `json:"node,omitempty"` // 1 and up; 0: the whole cluster
	Kind string        `json:"kind"`
	Text string        `json:"text"`
	// Lasts is how long a fault lasts.
	Lasts time.Duration `json:"lasts,omitempty"`
}
