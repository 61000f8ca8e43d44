package server

import (
	"context"
	"errors"
	"fmt"

	"ironman/fsm"
	"ironman/wal/event"
)

// Bounds are those of a quota, or what is left of it; nil: it has no such bound.
type Bounds struct {
	Objects *uint64 `json:"objects,omitempty"`
	Bytes   *uint64 `json:"bytes,omitempty"`
}

// Holding is what a bucket holds, or all buckets of an account together, and what they
// may hold.
type Holding struct {
	Bucket  string `json:"bucket,omitempty"`  // empty: all buckets of the account
	Account string `json:"account,omitempty"` // 12 digits
	Name    string `json:"name,omitempty"`    // of the account, where that is all

	Objects         uint64 `json:"objects"` // current versions, without delete markers
	Bytes           uint64 `json:"bytes"`
	Noncurrent      uint64 `json:"noncurrent"` // other versions
	NoncurrentBytes uint64 `json:"noncurrent_bytes"`
	Uploads         uint64 `json:"uploads"` // open multipart uploads
	PartBytes       uint64 `json:"part_bytes"`

	// What quotas count: all versions, and the bytes of parts, too.
	CountedObjects uint64 `json:"counted_objects"`
	CountedBytes   uint64 `json:"counted_bytes"`

	Quota Bounds `json:"quota"`
	Left  Bounds `json:"left"`
}

// HoldingPage is a page of the buckets of all accounts, by name.
type HoldingPage struct {
	Buckets []Holding `json:"buckets"`
	More    bool      `json:"more"`
}

// HoldingPageMax is the most that a page of buckets has.
const HoldingPageMax = 1000

// add counts a bucket.
func (h *Holding) add(u *fsm.Usage) {
	h.Objects, h.Bytes = h.Objects+u.Objects, h.Bytes+u.Bytes
	h.Noncurrent, h.NoncurrentBytes = h.Noncurrent+u.Noncurrent, h.NoncurrentBytes+u.NoncurrentBytes
	h.Uploads, h.PartBytes = h.Uploads+u.Uploads, h.PartBytes+u.PartBytes
	objects, bytes := u.Counted()
	h.CountedObjects, h.CountedBytes = h.CountedObjects+objects, h.CountedBytes+bytes
}

// bound says what may be held, now that it is known what is.
func (h *Holding) bound(q *event.Quota) {
	h.Quota.Objects, h.Left.Objects = boundOf(q.GetObjects(), h.CountedObjects)
	h.Quota.Bytes, h.Left.Bytes = boundOf(q.GetBytes(), h.CountedBytes)
}

// boundOf is a bound and what is left of it; nil if there is none.
func boundOf(bound, held uint64) (b, left *uint64) {
	if bound == 0 {
		return nil, nil
	}
	rest := bound - min(bound, held)
	return &bound, &rest
}

func bucketHolding(v *fsm.View, name string) (*Holding, *quotaEvent, error) {
	b, err := v.BucketByName(name)
	if err != nil {
		return nil, nil, err
	}
	if b == nil {
		return nil, nil, fmt.Errorf("%w: no bucket %q", errNoObject, name)
	}
	a, err := v.Account(b.Owner)
	if err != nil {
		return nil, nil, err
	}
	u, err := v.Usage(b.Bucket)
	if err != nil {
		return nil, nil, err
	}
	h := &Holding{Bucket: name, Account: a.GetAccount()}
	h.add(u)
	h.bound(b.Quota)
	return h, &quotaEvent{bucket: b.Bucket, quota: b.Quota}, nil
}

// holdingsOf counts what all buckets of each account hold, by a look at every bucket.
func holdingsOf(v *fsm.View, accounts []*fsm.Account) ([]Holding, error) {
	out := make([]Holding, len(accounts))
	at := make(map[string]int, len(accounts)) // by canonical id
	for i, a := range accounts {
		out[i], at[a.CanonicalId] = Holding{Account: a.Account, Name: a.Name}, i
	}
	var failed error
	err := v.Buckets(func(b *fsm.Bucket) bool {
		i, ok := at[b.Owner]
		if !ok {
			return true
		}
		var u *fsm.Usage
		if u, failed = v.Usage(b.Bucket); failed == nil {
			out[i].add(u)
		}
		return failed == nil
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	for i, a := range accounts {
		h, err := v.Holdings(a.CanonicalId)
		if err != nil {
			return nil, err
		}
		out[i].bound(h.GetQuota())
	}
	return out, nil
}

// AccountHoldings tells what every account holds and may hold, by number.
func (n *Node) AccountHoldings(ctx context.Context) ([]Holding, error) {
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	accounts, err := allAccounts(v)
	if err != nil {
		return nil, err
	}
	return holdingsOf(v, accounts)
}

// BucketHoldings tells what a page of buckets hold and may hold: those above a name.
func (n *Node) BucketHoldings(ctx context.Context, above string, max int) (*HoldingPage, error) {
	if max < 1 || max > HoldingPageMax {
		return nil, fmt.Errorf("%w: a page has 1 to %d buckets", errBadAsk, HoldingPageMax)
	}
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	names, more, err := v.AllBuckets(above, max)
	if err != nil {
		return nil, err
	}
	page := &HoldingPage{Buckets: make([]Holding, 0, len(names)), More: more}
	for _, b := range names {
		h, _, err := bucketHolding(v, b.Name)
		if err != nil {
			return nil, err
		}
		page.Buckets = append(page.Buckets, *h)
	}
	return page, nil
}
