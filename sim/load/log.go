package load

import (
	"slices"
	"sync"

	"ironman/sim/history"
)

// Log of requests, in the order of their returns. Safe for concurrent use.
type Log struct {
	mu     sync.Mutex
	ops    []history.Op
	keys   map[string]bool
	values map[string]string // by entity tag
	open   int

	past    map[place]string // what was found there first
	moments []moment         // all of past, in the order in which they were known
	newest  uint64           // event that anybody was told of
}

// NewLog is an empty one.
func NewLog() *Log {
	return &Log{keys: make(map[string]bool), values: make(map[string]string), past: make(map[place]string)}
}

// All are all requests so far, and how many of them have an open outcome.
func (l *Log) All() (ops []history.Op, open int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ops), l.open
}

// Keys are all keys that any request was about, sorted; not those of sets.
func (l *Log) Keys() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := make([]string, 0, len(l.keys))
	for k := range l.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (l *Log) add(o history.Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !isSet(o.Key) {
		l.keys[o.Key] = true
	}
	if o.Open() {
		l.open++
	}
	l.ops = append(l.ops, o)
}

// name makes a value known by its entity tag, before it can be read.
func (l *Log) name(tag, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values[tag] = value
}

func (l *Log) valueOf(tag string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.values[tag]
	return v, ok
}
