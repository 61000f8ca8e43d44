package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// serveRestorePlan answers GET /-/restore?bucket=B&to=MOMENT.
func (n *Node) serveRestorePlan(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	q := r.URL.Query()
	p, err := n.PlanRestore(ctx, q.Get("bucket"), q.Get("to"))
	n.answerAdmin(w, p, err)
}

// serveRestoreSettings answers POST /-/restore/settings?bucket=B&to=SEQ&seen=SEQ.
func (n *Node) serveRestoreSettings(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	q := r.URL.Query()
	to, err := numberIn(q, "to")
	seen, err2 := numberIn(q, "seen")
	if err = errors.Join(err, err2); err != nil {
		n.adminError(w, err)
		return
	}
	p, err := n.RestoreSettings(ctx, q.Get("bucket"), to, seen)
	n.answerAdmin(w, p, err)
}

// serveRestoreObjects answers a step: GET /-/restore/objects?bucket=N&source=N&to=SEQ&seen=SEQ&prefix=P&after=KEY
// tells what there is to do, POST does it.
func (n *Node) serveRestoreObjects(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	q := r.URL.Query()
	ask := RestoreAsk{Prefix: q.Get("prefix"), After: q.Get("after"), Dry: r.Method != http.MethodPost}
	var err error
	for name, field := range map[string]*uint64{"bucket": &ask.Bucket, "source": &ask.Source, "to": &ask.To, "seen": &ask.Seen} {
		if *field, err = numberIn(q, name); err != nil {
			n.adminError(w, err)
			return
		}
	}
	s, err := n.RestoreObjects(ctx, ask)
	n.answerAdmin(w, s, err)
}

func numberIn(q url.Values, name string) (uint64, error) {
	seq, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s=%q is not a number", errBadAsk, name, q.Get(name))
	}
	return seq, nil
}
