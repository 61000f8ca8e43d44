package crash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A state is what clients see under a name, in a few words: of an object the names of
// its bodies, of a bucket or an upload that it is there. "": nothing.
//
// A request changes the states of some names, all of them or none.
type request struct {
	what    string
	changes map[string]string
}

// A fact is what is known from some moment on: that a request was sent, how it was
// answered, or that a state was seen.
type fact struct {
	asked *request
	// answered is a request that was, and done whether it was acknowledged; else
	// it was refused, and changed nothing.
	answered *request
	done     bool
	// seen are the states of all names, as they were read: nothing else can come of
	// them any more, but by another request.
	seen map[string]string
}

// history is all that is known, in its order.
type history struct {
	mu    sync.Mutex
	facts []fact
}

func (h *history) add(f fact) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.facts = append(h.facts, f)
}

// now is what is known now. It never changes.
func (h *history) now() []fact {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clip(h.facts)
}

// since is a history that begins with facts.
func since(facts []fact) *history { return &history{facts: slices.Clone(facts)} }

// knowledge is what facts say: what must be there, and what may be, too.
type knowledge struct {
	states map[string]string
	open   []*request // in the order in which they were sent
}

func know(facts []fact) *knowledge {
	k := &knowledge{states: make(map[string]string)}
	for _, f := range facts {
		switch {
		case f.asked != nil:
			k.open = append(k.open, f.asked)
		case f.answered != nil:
			k.open = slices.DeleteFunc(k.open, func(r *request) bool { return r == f.answered })
			if f.done {
				k.apply(f.answered.changes)
			}
		default:
			k.open, k.states = nil, maps.Clone(f.seen)
		}
	}
	return k
}

func (k *knowledge) apply(changes map[string]string) {
	for name, state := range changes {
		if k.states[name] = state; state == "" {
			delete(k.states, name)
		}
	}
}

// allows compares what is seen with what is known: what is open is done as a whole, or
// not at all. Requests that are open at one moment have no name in common.
func (k *knowledge) allows(seen map[string]string) error {
	want := &knowledge{states: maps.Clone(k.states)}
	for _, r := range k.open {
		if done(r, seen, k.states) {
			want.apply(r.changes)
		}
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(union(want.states, seen))) {
		if want.states[name] != seen[name] {
			wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", name, seen[name], want.states[name]))
		}
	}
	if wrong == nil {
		return nil
	}
	var open []string
	for _, r := range k.open {
		open = append(open, r.what)
	}
	return fmt.Errorf("I1: %s (not answered: %s)", strings.Join(wrong, "; "), strings.Join(open, ", "))
}

// done tells whether an open request left any trace: then it must have left all.
func done(r *request, seen, before map[string]string) bool {
	for name, state := range r.changes {
		if seen[name] == state && before[name] != state {
			return true
		}
	}
	return false
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
