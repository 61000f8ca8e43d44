package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"ironman/fsm"
	"ironman/wal/event"
)

// QuotaOf names what has a quota: a bucket by its name, or an account by its 12 digits.
type QuotaOf struct{ Bucket, Account string }

func (q QuotaOf) check() error {
	if (q.Bucket == "") == (q.Account == "") {
		return fmt.Errorf("%w: name a bucket or an account", errBadAsk)
	}
	return nil
}

// Holding tells what one bucket or account holds and may hold.
func (n *Node) Holding(ctx context.Context, of QuotaOf) (*Holding, error) {
	if err := of.check(); err != nil {
		return nil, err
	}
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	h, _, err := holdingOf(v, of)
	return h, errors.Join(err, v.Close())
}

// holdingOf also gives the event that sets the quota; its Quota is what holds now.
func holdingOf(v *fsm.View, of QuotaOf) (*Holding, *quotaEvent, error) {
	if of.Bucket != "" {
		return bucketHolding(v, of.Bucket)
	}
	a, err := v.AccountByID(of.Account)
	if err != nil {
		return nil, nil, err
	}
	if a == nil {
		return nil, nil, fmt.Errorf("%w: no account %q", errNoObject, of.Account)
	}
	held, err := holdingsOf(v, []*fsm.Account{a})
	if err != nil {
		return nil, nil, err
	}
	row, err := v.Holdings(a.CanonicalId)
	return &held[0], &quotaEvent{account: a.Account, quota: row.GetQuota()}, err
}

// quotaEvent is what sets a quota.
type quotaEvent struct {
	bucket  uint64 // number; 0: it is the account's
	account string // 12 digits
	quota   *event.Quota
}

func (q *quotaEvent) draft() *event.Draft {
	if q.account != "" {
		return event.NewDraft(nil, &event.Statement_AccountQuotaSet{AccountQuotaSet: &event.AccountQuotaSet{Account: q.account, Quota: q.quota}})
	}
	return event.NewDraft(nil, &event.Statement_BucketQuotaSet{BucketQuotaSet: &event.BucketQuotaSet{Bucket: q.bucket, Quota: q.quota}})
}

// SetQuota bounds what a bucket or account may hold. A bound that is nil stays as it is,
// and 0 ends it. Of two who set one bound each at the same time one may undo what the
// other did: what it answers is what holds then.
func (n *Node) SetQuota(ctx context.Context, of QuotaOf, b Bounds) (*Holding, error) {
	if err := of.check(); err != nil {
		return nil, err
	}
	if b.Bytes == nil && b.Objects == nil {
		return nil, fmt.Errorf("%w: give a bound of bytes, of objects, or both", errBadAsk)
	}
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	h, set, err := holdingOf(v, of)
	if err := errors.Join(err, v.Close()); err != nil {
		return nil, err
	}
	next := &event.Quota{Bytes: set.quota.GetBytes(), Objects: set.quota.GetObjects()}
	if b.Bytes != nil {
		next.Bytes = *b.Bytes
	}
	if b.Objects != nil {
		next.Objects = *b.Objects
	}
	if next.Bytes == set.quota.GetBytes() && next.Objects == set.quota.GetObjects() {
		return h, nil // the view shows it: no event
	}
	set.quota = next
	r, err := n.tell(ctx, set.draft())
	if err == nil {
		err = quotaRefused(of, r)
	}
	if err != nil {
		return nil, err
	}
	return n.Holding(ctx, of)
}

// quotaRefused tells why a quota was not set.
func quotaRefused(of QuotaOf, r event.Refusal) error {
	switch r {
	case event.Refusal_REFUSAL_NONE:
		return nil
	case event.Refusal_REFUSAL_NO_SUCH_BUCKET:
		return fmt.Errorf("%w: no bucket %q", errNoObject, of.Bucket)
	case event.Refusal_REFUSAL_NOT_FOUND:
		return fmt.Errorf("%w: no account %q", errNoObject, of.Account)
	case event.Refusal_REFUSAL_FEATURE_LEVEL:
		return fmt.Errorf("%w: there are no quotas while a node of an older release is in the cluster", errBadAsk)
	}
	return fmt.Errorf("%w: the quota was refused: %s", errBadAsk, r)
}

// holding answers for one bucket or account.
func (n *Node) holding(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	h, err := n.Holding(ctx, quotaOf(r.URL.Query()))
	n.answerAdmin(w, h, err)
}

func (n *Node) accountHoldings(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	list, err := n.AccountHoldings(ctx)
	n.answerAdmin(w, list, err)
}

func (n *Node) bucketHoldings(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	page, err := n.BucketHoldings(ctx, r.URL.Query().Get("above"), HoldingPageMax)
	n.answerAdmin(w, page, err)
}

func (n *Node) setQuota(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	q := r.URL.Query()
	var b Bounds
	var err error
	if b.Objects, err = boundIn(q, "objects"); err == nil {
		b.Bytes, err = boundIn(q, "bytes")
	}
	var h *Holding
	if err == nil {
		h, err = n.SetQuota(ctx, quotaOf(q), b)
	}
	n.answerAdmin(w, h, err)
}

func quotaOf(q url.Values) QuotaOf { return QuotaOf{q.Get("bucket"), q.Get("account")} }

// boundIn reads a bound; nil if there is none.
func boundIn(q url.Values, name string) (*uint64, error) {
	if !q.Has(name) {
		return nil, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil || n > math.MaxInt64 {
		return nil, fmt.Errorf("%w: %s=%q is not a bound", errBadAsk, name, q.Get(name))
	}
	return &n, nil
}

// answerAdmin answers with what was asked for, or with why not.
func (n *Node) answerAdmin(w http.ResponseWriter, v any, err error) {
	if err != nil {
		n.adminError(w, err)
		return
	}
	writeJSON(w, v)
}
