package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what is wrong with the requests to one key.
type Verdict struct {
	Key  string
	Text string
}

// Judge checks each key for itself, and returns those whose requests no order
// explains. A search that takes longer than limit is a finding too: what was not
// checked did not pass.
func Judge(ops []Op, limit time.Duration) []Verdict {
	byKey := make(map[string][]Op)
	var keys []string
	for _, o := range ops {
		if byKey[o.Key] == nil {
			keys = append(keys, o.Key)
		}
		byKey[o.Key] = append(byKey[o.Key], o)
	}
	slices.Sort(keys)
	var found []Verdict
	for _, key := range keys {
		if text := judgeKey(byKey[key], limit); text != "" {
			found = append(found, Verdict{Key: key, Text: text})
		}
	}
	return found
}

func judgeKey(ops []Op, limit time.Duration) string {
	var h []porcupine.Operation
	for i, o := range rank(prune(ops)) {
		client := o.Client
		if o.Open() {
			client = 1_000_000 + i // a client has one request at a time
		}
		h = append(h, porcupine.Operation{ClientId: client, Input: o, Output: o, Call: o.Call, Return: o.Return})
	}
	switch porcupine.CheckOperationsTimeout(model, h, limit) {
	case porcupine.Ok:
		return ""
	case porcupine.Unknown:
		return fmt.Sprintf("no verdict on %d requests within %v", len(h), limit)
	}
	return fmt.Sprintf("no order explains its %d requests; %s", len(h), suspect(ops))
}

// prune leaves out what constrains nothing: reads without an answer, and changes
// without one whose value nobody ever saw or named, and that nobody could have been
// refused because of. Such a change may be placed behind everything else.
func prune(ops []Op) []Op {
	seen := make(map[string]bool)
	conditional := false
	for _, o := range ops {
		seen[o.Match] = true
		if o.Kind == Get && !o.Open() {
			seen[o.Read] = true
		}
		if !o.Open() && (o.Kind == Replace || o.Kind == Create) {
			conditional = true
		}
	}
	var out []Op
	for _, o := range ops {
		switch {
		case o.Open() && o.Kind == Get:
		case o.Open() && o.Kind != Delete && !conditional && !seen[o.Value]:
		default:
			out = append(out, o)
		}
	}
	return out
}

// ranked is an Op; changes without an answer that are alike have one group and are
// numbered in it.
type ranked struct {
	Op
	group string // empty: there is none like it
	rank  int
}

// unseen stands for all bodies that nobody ever saw or named.
const unseen = "?"

// rank finds the changes without an answer that differ in nothing but when they were
// called: of the same kind, with the same condition and bodies that nobody ever saw.
// What explains a history with one of them explains it with the one that was called
// first and not used yet, for nothing says when they ended. So they need to be tried in
// that order only, where else each of their subsets would be.
func rank(ops []Op) []ranked {
	seen := make(map[string]bool)
	for _, o := range ops {
		seen[o.Match] = true
		if o.Kind == Get {
			seen[o.Read] = true
		}
	}
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	count := make(map[string]int)
	out := make([]ranked, len(ops))
	for i, o := range ops {
		out[i].Op = o
		if !o.Open() || o.Kind == Get || o.Kind != Delete && seen[o.Value] {
			continue
		}
		if o.Kind != Delete {
			out[i].Value = unseen
		}
		out[i].group = o.Kind + " " + o.Match
		out[i].rank = count[out[i].group]
		count[out[i].group]++
	}
	return out
}

// state is that of a key: the value of its current body, and how many of each group of
// changes without an answer were done, or refused.
type state struct {
	value string
	used  map[string]int // never changed
}

// model is a key as a register.
var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(now, input, _ any) (bool, any) {
		s, o := now.(state), input.(ranked)
		if o.group != "" && s.used[o.group] != o.rank {
			return false, s
		}
		ok, next := o.step(s.value)
		if !ok {
			return false, s
		}
		if o.group != "" {
			used := maps.Clone(s.used)
			if used == nil {
				used = make(map[string]int)
			}
			used[o.group]++
			return true, state{next, used}
		}
		return true, state{next, s.used}
	},
	// How many were used follows from which were, which porcupine compares itself.
	Equal: func(a, b any) bool { return a.(state).value == b.(state).value },
	DescribeOperation: func(input, _ any) string {
		return fmt.Sprintf("%+v", input.(ranked).Op)
	},
}

// step says whether the request may have been answered as it was in a given state,
// and what is there afterwards.
func (o *Op) step(now string) (ok bool, next string) {
	if o.Kind == Get {
		return o.Read == now, now
	}
	if o.Open() {
		if !o.holds(now) {
			return true, now // refused, if it was done at all
		}
		return true, o.Value
	}
	switch {
	case o.Status/100 == 2:
		return o.holds(now), o.Value
	case o.Status == 412:
		return o.conditional() && now != "" && !o.holds(now), now
	case o.Status == 404:
		return o.Kind == Replace && now == "", now
	}
	return false, now // an answer that no state explains
}

func (o *Op) conditional() bool { return o.Kind == Create || o.Kind == Replace }

// holds says whether the request's condition is met.
func (o *Op) holds(now string) bool {
	switch o.Kind {
	case Create:
		return now == ""
	case Replace:
		return now != "" && now == o.Match
	}
	return true
}

// suspect names the first read of a value that could not be there, if it is as plain
// as that; otherwise the last requests.
func suspect(ops []Op) string {
	for _, o := range ops {
		if o.Kind != Get || o.Open() {
			continue
		}
		if text := implausible(ops, o); text != "" {
			return text
		}
	}
	from := max(0, len(ops)-6)
	var last []string
	for _, o := range ops[from:] {
		last = append(last, fmt.Sprintf("%s %s=%q by %d at %v..%v: %d %q", o.Kind, o.Key, o.Value, o.Client, time.Duration(o.Call), time.Duration(o.Return), o.Status, o.Read))
	}
	return "the last: " + strings.Join(last, "; ")
}

func implausible(ops []Op, r Op) string {
	at := fmt.Sprintf("the read at %v by client %d through node %d", time.Duration(r.Call), r.Client, r.Node)
	if r.Read == "" {
		// Something was written and nothing ever deleted it.
		for _, o := range ops {
			if o.Kind == Delete && o.Call < r.Return && (o.Open() || o.Status/100 == 2) {
				return ""
			}
		}
		for _, o := range ops {
			if !o.Open() && o.Kind != Get && o.Kind != Delete && o.Status/100 == 2 && o.Return < r.Call {
				return fmt.Sprintf("%s found nothing, though %q was acknowledged at %v and nothing deletes it", at, o.Value, time.Duration(o.Return))
			}
		}
		return ""
	}
	var w *Op
	for i := range ops {
		if ops[i].Kind != Get && ops[i].Value == r.Read {
			w = &ops[i]
		}
	}
	switch {
	case w == nil:
		return fmt.Sprintf("%s found %q, which nobody wrote", at, r.Read)
	case w.Call > r.Return:
		return fmt.Sprintf("%s found %q, which was written later", at, r.Read)
	}
	for _, o := range ops {
		if o.Kind != Get && !o.Open() && o.Status/100 == 2 && o.Call > w.Return && o.Return < r.Call {
			return fmt.Sprintf("%s found %q, which was replaced by %q (%s) at %v", at, r.Read, o.Value, o.Kind, time.Duration(o.Return))
		}
	}
	return ""
}
