package mirror

import (
	"maps"
	"slices"
)

// mostPassed is how many of the keys that were passed over are remembered.
const mostPassed = 1000

// pass passes over a key whose object the target cannot have: with the mark its metadata is longer than 2
// KiB. Another try would not change that, and whoever stopped for it would stop for ever.
func (m *Mirror) pass(key string, asOf uint64) {
	m.mu.Lock()
	if m.passed == nil {
		m.passed = make(map[string]bool)
	}
	if len(m.passed) < mostPassed {
		m.passed[key] = true
	}
	m.mu.Unlock()
	m.tell(Done{"pass", key, asOf})
}

// brought forgets that a key was passed over.
func (m *Mirror) brought(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.passed, key)
}

// left is the error that not all could be mirrored; nil: all was.
func (m *Mirror) left() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.Sorted(maps.Keys(m.passed))
	switch n := len(keys); {
	case n == 0:
		return nil
	case n == mostPassed:
		return final("%d keys or more are not as in the source: their metadata leaves no room for the mirror's mark: %q and others", n, keys[:10])
	default:
		return final("%d keys are not as in the source: their metadata leaves no room for the mirror's mark: %q", n, keys)
	}
}
