package segment

// How much of the newest entries stays in memory: what followers and the state
// machine read next.
const (
	recentEntries = 1024
	recentBytes   = 1 << 20
)

// recent holds the newest entries. Invariant: it holds exactly low..high, if high
// is not 0.
type recent struct {
	ring      [recentEntries]Entry
	low, high uint64
	bytes     int
}

func entryBytes(e *Entry) int { return len(e.Data) + len(e.Extensions) }

// add takes the entry that follows high.
func (r *recent) add(e *Entry) {
	if r.high == 0 {
		r.low = e.Index
	}
	if r.high != 0 && e.Index-r.low >= recentEntries {
		r.drop()
	}
	r.ring[e.Index%recentEntries] = *e
	r.high = e.Index
	r.bytes += entryBytes(e)
	for r.bytes > recentBytes && r.low <= r.high {
		r.drop()
	}
	if r.low > r.high {
		r.reset()
	}
}

func (r *recent) drop() {
	e := &r.ring[r.low%recentEntries]
	r.bytes -= entryBytes(e)
	*e = Entry{}
	r.low++
}

func (r *recent) get(index uint64) (Entry, bool) {
	if r.high == 0 || index < r.low || index > r.high {
		return Entry{}, false
	}
	return r.ring[index%recentEntries], true
}

// reset forgets everything: the log ends elsewhere now.
func (r *recent) reset() { *r = recent{} }
