package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"ironman/server/backup"
	"ironman/server/link"
)

const (
	// holdFor is how long a node holds packs back from one word of a backup's node to the next:
	// longer than a restart takes, or a disturbance of the network.
	holdFor = 10 * time.Minute
	// holdCall is how long a node may take to say that it does.
	holdCall = 10 * time.Second
	// mostHolds bounds how many runs a node holds packs back for.
	mostHolds = 64
)

// holds are the runs of backups for which this node unlinks no pack. A blob that the state
// of a run names has its shards in packs which no event had released before: so all of their
// bytes are there until the run is over, whatever is deleted, trimmed and released meanwhile. No
// event is held back, and nothing of it is in the log. A node that has just started knows of
// no run until it is told again, and unlinks nothing before Options.PackGrace is over.
type holds struct {
	mu    sync.Mutex
	until map[string]time.Time // by run
}

// hold begins or renews a hold; until nothing: it ends.
func (h *holds) hold(run string, until, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r, end := range h.until {
		if !end.After(now) {
			delete(h.until, r)
		}
	}
	if until.IsZero() {
		delete(h.until, run)
		return nil
	}
	if _, known := h.until[run]; !known && len(h.until) >= mostHolds {
		return fmt.Errorf("%w: packs are held back for %d backups already", errNotNow, len(h.until))
	}
	if h.until == nil {
		h.until = make(map[string]time.Time)
	}
	h.until[run] = until
	return nil
}

// held tells until when packs are held back; zero: they are not.
func (h *holds) held(now time.Time) (until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, end := range h.until {
		if end.After(now) && end.After(until) {
			until = end
		}
	}
	return until
}

// holdRequest is what methodHold asks for: that packs be held back for a run, or no longer.
type holdRequest struct {
	Run     string `json:"run"`
	Seconds int    `json:"seconds"` // 0: no longer
}

// serveHold answers another node.
func (n *Node) serveHold(_ context.Context, from uint32, request []byte) ([]byte, error) {
	if !n.serving.Load() {
		return nil, &link.Error{Code: codeNotServing, Text: "the node does not serve yet, or no more"}
	}
	var q holdRequest
	if err := strictJSON(request, &q); err != nil || !backup.ValidRun(q.Run) || q.Seconds < 0 || q.Seconds > int(holdFor/time.Second) {
		return nil, errors.New("a request to hold packs back that cannot be understood")
	}
	return nil, n.holdHere(fmt.Sprintf("%s of node %d", q.Run, from), q.Seconds)
}

func (n *Node) holdHere(run string, seconds int) error {
	now := n.opts.Now()
	if seconds == 0 {
		return n.holds.hold(run, time.Time{}, now)
	}
	return n.holds.hold(run, now.Add(time.Duration(seconds)*time.Second), now)
}

// holdEverywhere has all nodes hold packs back for a run, or no longer, and tells which did
// not say that they do. That this one does is sure where there is no error.
func (n *Node) holdEverywhere(ctx context.Context, run string, seconds int) (unheld []uint32, err error) {
	if err := n.holdHere(run, seconds); err != nil {
		return nil, err
	}
	request, err := json.Marshal(&holdRequest{run, seconds})
	if err != nil {
		return nil, err
	}
	members := n.members.all()
	said := make([]error, len(members))
	ctx, cancel := context.WithTimeout(ctx, holdCall)
	defer cancel()
	var asked sync.WaitGroup
	for i, m := range members {
		if m.Node == n.identity.Node {
			continue
		}
		asked.Go(func() { said[i] = n.askHold(ctx, m.Node, request) })
	}
	asked.Wait()
	for i, m := range members {
		if said[i] != nil {
			n.opts.Logger.Info("a backup: another node does not hold packs back", "run", run, "node", m.Node, "err", said[i])
			unheld = append(unheld, m.Node)
		}
	}
	return unheld, nil
}

func (n *Node) askHold(ctx context.Context, node uint32, request []byte) error {
	l := n.link.Load()
	if l == nil {
		return errNoLink
	}
	_, err := l.Call(ctx, node, methodHold, request)
	return err
}
