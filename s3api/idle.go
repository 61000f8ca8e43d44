package s3api

import (
	"net/http"
	"time"
)

// A client that neither sends nor takes a byte of a body for this long is let go:
// it holds memory, a connection and, for a PUT, room on disks.
const bodyIdle = 60 * time.Second

// idleDeadline moves the deadline of a connection along with the bytes that pass.
type idleDeadline struct {
	control *http.ResponseController
	set     func(*http.ResponseController, time.Time) error
	moved   time.Time
}

func readIdle(w http.ResponseWriter) *idleDeadline {
	return &idleDeadline{http.NewResponseController(w), (*http.ResponseController).SetReadDeadline, time.Time{}}
}

func writeIdle(w http.ResponseWriter) *idleDeadline {
	return &idleDeadline{http.NewResponseController(w), (*http.ResponseController).SetWriteDeadline, time.Time{}}
}

// touch gives the client another bodyIdle. A second's precision is enough, and a
// system call for each piece too much. Connections without deadlines have none.
func (d *idleDeadline) touch() {
	// The connection's deadline is the kernel's clock, not the node's.
	now := time.Now()
	if now.Sub(d.moved) < time.Second {
		return
	}
	d.moved = now
	_ = d.set(d.control, now.Add(bodyIdle))
}

// clear takes the deadline off, for what follows on the connection has its own.
func (d *idleDeadline) clear() {
	if !d.moved.IsZero() {
		_ = d.set(d.control, time.Time{})
		d.moved = time.Time{}
	}
}
