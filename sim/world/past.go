package world

import "time"

// bucketRetention is how long the history of the bucket of most requests is kept.
func (w *World) bucketRetention() time.Duration {
	if w.ownRetention > 0 {
		return w.ownRetention
	}
	return w.retention
}

// whole is how much of a retention may be missing: moments are told in whole seconds, and what
// was done a moment ago was so some time before it was answered.
const whole = 2 * time.Second

// kept tells whether what was so at a moment must be readable still. History is trimmed by
// the clock of whoever leads, and nothing is known of that behind a clock that was wrong.
func (w *World) kept(at int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.jumped.IsZero() && time.Duration(w.now()-at) < w.bucketRetention()-whole
}
