package link

import "time"

// alarm is a deadline of a stream. The stream's mutex guards it.
type alarm struct {
	timer *time.Timer
	past  chan struct{} // closed once the deadline has passed; nil: there is none
}

// set replaces the deadline; the zero time is none.
func (a *alarm) set(t time.Time) {
	a.stop()
	a.past = nil
	if t.IsZero() {
		return
	}
	past := make(chan struct{})
	a.past = past
	if left := time.Until(t); left > 0 {
		a.timer = time.AfterFunc(left, func() { close(past) })
	} else {
		close(past)
	}
}

// stop keeps the alarm as it is for ever.
func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

func (a *alarm) passed() bool {
	select {
	case <-a.past:
		return true
	default:
		return false
	}
}
