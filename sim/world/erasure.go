package world

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"ironman/server"
	"ironman/sim/load"
	"ironman/sim/offline"
)

// One run in some has a key erased from the record. It is asked for under faults, by nodes that
// end in the middle of what they do for it, and must be done everywhere in the end.

// eraseOneIn: one run in so many has a key erased. The others are replayed from their first event.
const eraseOneIn = 3

// eraseLimit is how long all nodes may take to carry an erasure out when everything has
// healed: history must be over, and the state be written anew.
const eraseLimit = 90 * time.Second

// erase buries a key some time in the run and has it erased, if it comes so far.
func (w *World) erase(ctx context.Context, rng *rand.Rand) {
	pause(ctx, time.Duration(rng.Int64N(int64(w.cfg.Span*3/4)+1)))
	c := w.newClient(-30)
	defer c.Close()
	e := c.Bury(ctx)
	if e == nil {
		return
	}
	w.mu.Lock()
	w.buried = append(w.buried, e)
	w.mu.Unlock()
	for ctx.Err() == nil {
		pause(ctx, time.Second)
		if c.Erase(context.WithoutCancel(ctx), 1+rng.IntN(w.load.Nodes), e) == nil {
			return
		}
	}
}

// completeErasures has what was buried be erased, and waits until every node has done it.
func (w *World) completeErasures(ctx context.Context) {
	if len(w.buried) == 0 {
		return
	}
	c := w.newClient(-31)
	defer c.Close()
	var why error
	for _, e := range w.buried {
		asked := w.until(eraseLimit, func() bool {
			for _, n := range w.members() {
				if why = c.Erase(ctx, n.n, e); why == nil {
					return true
				}
			}
			return false
		})
		if !asked {
			w.violated("I12", "%s is not erased %v after everything has healed: %v", e.Key, eraseLimit, why)
			return
		}
	}
	said := ""
	w.erased = w.until(eraseLimit, func() (done bool) { said, done = w.erasedEverywhere(ctx); return done })
	for _, n := range w.members() {
		if !w.erased && n.spoiled() && w.replace(ctx, n) { // its damage shows only now
			w.erased = w.until(eraseLimit, func() (done bool) { said, done = w.erasedEverywhere(ctx); return done })
		}
	}
	if !w.erased {
		w.violated("I12", "an erasure is not done everywhere %v after everything has healed: %s", eraseLimit, said)
	}
}

// erasedEverywhere asks all members whether all of them have carried out all erasures.
func (w *World) erasedEverywhere(ctx context.Context) (said string, done bool) {
	members := w.members()
	for _, n := range members {
		status, text, err := w.askAdmin(ctx, n.n, http.MethodGet, "/-/erasures", nil)
		var x server.Erasures
		if err != nil || status != http.StatusOK || json.Unmarshal(text, &x) != nil {
			return fmt.Sprintf("node %d: %d %.200q %v", n.n, status, text, err), false
		}
		if !x.Done() || len(x.Nodes) < len(members) {
			return string(text), false
		}
	}
	return "", true
}

// checkErased looks for what was erased in all files of a node (I20). What stays in the record
// must be found, or the search shows nothing.
func (w *World) checkErased(n *node) {
	if !w.erased {
		return
	}
	const stays = load.Bucket // in a row of every node's state
	names := []string{stays}
	for _, e := range w.buried {
		names = append(names, e.Key, e.Header)
	}
	found, err := offline.Find(lookAt(n.disk), volumeNode+"/dir", names)
	if err != nil {
		if !n.spoiled() {
			w.violated("I20", "the files of node %d: %v", n.n, err)
		}
		return
	}
	for _, name := range names[1:] {
		if where := found[name]; len(where) > 0 {
			w.violated("I20", "%s was erased, and node %d has it in %s", name, n.n, strings.Join(slices.Compact(where[:min(len(where), 5)]), ", "))
		}
	}
	if len(found[stays]) == 0 {
		w.violated("I20", "node %d has nothing of %s either: nothing is proven", n.n, stays)
	}
	w.did("an erased name is looked for in all files of a node")
}
