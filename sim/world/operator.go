package world

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"ironman/server"
)

// The operator changes the cluster as `ironman admin` does: through the admin listener
// of any node but the one that is concerned.

// askLimit is how long the operator waits for an answer.
const askLimit = 8 * time.Second

// askAdmin asks a machine's admin listener.
func (w *World) askAdmin(ctx context.Context, machine int, method, path string, body []byte) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	host := w.net.Host("operator")
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, to string) (net.Conn, error) {
		return host.Dial(ctx, to)
	}}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+address(machine, portAdmin)+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.SetBasicAuth(rootKey, rootSecret)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(resp.Body)
	resp.Body.Close()
	w.trace.add("admin", machine, method, resp.StatusCode, len(answer))
	return resp.StatusCode, answer, err
}

// numberAt asks which number the machine's link belongs to that nobody knows yet; 0:
// the others do not say.
func (w *World) numberAt(ctx context.Context, n *node) uint32 {
	for _, other := range w.members() {
		if other == n {
			continue
		}
		status, b, err := w.askAdmin(ctx, other.n, http.MethodGet, "/-/nodes", nil)
		var all []server.NodeState
		if err != nil || status != http.StatusOK || json.Unmarshal(b, &all) != nil {
			continue
		}
		for _, s := range all {
			if s.Address == address(n.n, portLink) {
				return s.Node
			}
		}
	}
	return 0
}

// depart has a number be shut out; shutOut goes on with it until it is.
func (w *World) depart(number uint32) *departure {
	d := &departure{number: number}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.departures = append(w.departures, d)
	return d
}

// shutOut asks one member after the other to remove a node, until one says that it is
// done. It may have been done before without the operator hearing of it.
func (w *World) shutOut(ctx context.Context, d *departure) bool {
	leader := w.leader()
	w.mu.Lock()
	done := d.done
	w.mu.Unlock()
	path := fmt.Sprintf("/-/nodes/remove?node=%d", d.number)
	for !done && ctx.Err() == nil {
		for _, n := range w.members() {
			n.mu.Lock()
			self := n.number == d.number
			n.mu.Unlock()
			if self || n.serving() == nil {
				continue
			}
			status, b, err := w.askAdmin(ctx, n.n, http.MethodPost, path, nil)
			if err == nil && (status == http.StatusOK || status == http.StatusNotFound && strings.Contains(string(b), "no node")) {
				done = true
				break
			}
		}
		if !done {
			pause(ctx, 500*ms)
		}
	}
	w.mu.Lock()
	first := done && !d.done
	d.done = done
	w.mu.Unlock()
	if first {
		w.fired("R1", "a node is removed")
		if m := w.machineOf(d.number); m != nil && m.n == leader && m.is() == leaving {
			w.fired("R1", "the node that led was removed")
		}
	}
	return done
}

// settleMembers comes to an end with all that the operator has begun.
func (w *World) settleMembers(ctx context.Context) bool {
	w.mu.Lock()
	all := append([]*departure(nil), w.departures...)
	w.mu.Unlock()
	for _, d := range all {
		if !w.shutOut(ctx, d) {
			w.violated("I12", "%v cannot be removed, though everything has healed", d)
			return false
		}
		for _, n := range w.nodes {
			n.mu.Lock()
			if n.number == d.number && n.standing == leaving {
				n.standing = removed
			}
			n.mu.Unlock()
		}
	}
	return true
}

// spoil says that a node may never start again: what it keeps was damaged.
func (n *node) spoil(fault string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.spoils = append(n.spoils, fault)
}

func (n *node) spoiled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.spoils) > 0
}

// replaceLimit is how long a node may take to be shut out, and another to take its
// place.
const replaceLimit = 6 * healLimit

// replace is what an operator does with a node that does not start any more, as the
// README says: it shuts it out, and lets a new one, with empty disks, take its place.
func (w *World) replace(ctx context.Context, n *node) bool {
	n.mu.Lock()
	words, number := n.words, n.number
	n.down = true
	n.mu.Unlock()
	w.moment(n.n, "is replaced", words)
	w.fired("R1", "a node is replaced by a new one")
	n.kill(false, nil)
	n.become(leaving, joining, member)
	ctx, cancel := context.WithTimeout(ctx, replaceLimit)
	defer cancel()
	if number == 0 {
		number = w.numberAt(ctx, n)
	}
	if number > 0 && !w.shutOut(ctx, w.depart(number)) {
		w.violated("I12", "number %d of node %d is not removed from the cluster within %v", number, n.n, replaceLimit)
		return false
	}
	n.mu.Lock()
	n.wipe()
	n.mu.Unlock()
	n.start()
	if !w.serves(ctx, n, replaceLimit) {
		w.violated("I12", "the node that takes the place of number %d, node %d, does not serve after %v (its process: %s)", number, n.n, replaceLimit, n.stands())
		return false
	}
	return true
}

// wipe empties all disks of a node, which is to join as a new one; n.mu is held.
func (n *node) wipe() {
	for _, v := range n.disk.Volumes() {
		v.Heal()
		v.Format()
	}
	n.number, n.installs, n.standing, n.down, n.anew = 0, 0, joining, false, true
	n.spoils, n.excuses, n.setBack, n.words = nil, nil, false, ""
}
