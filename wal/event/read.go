package event

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"

	"ironman/wal/digest"
)

// ReadDraft is a record of a read being written. For one goroutine.
type ReadDraft struct {
	Time      int64 // when it was answered, nanoseconds since the Unix epoch
	RequestID []byte
	Principal string // as in a Header
	Read      *Read
	// What is personal: "" and nil add nothing.
	Bucket, Key string
	Client      *Client
}

// ReadRecord is a record of a read in the form that is hashed, but for its place.
type ReadRecord struct {
	Time      int64
	RequestID []byte
	Principal string
	Statement []byte
	Items     [][]byte

	// What is not hashed: the event that made what was read, nil where nothing was found, and
	// when the request came.
	Made  *uint64
	Began int64
}

// Marshal gives the record's bytes, once, and draws the salts. They alias nothing of the
// draft: a record outlives its request, and what it takes is what Bytes says.
func (d *ReadDraft) Marshal() (*ReadRecord, error) {
	if len(d.Principal) > MaxPrincipalBytes || len(d.RequestID) > RequestIDBytes {
		return nil, fmt.Errorf("%w: a read by a principal of %d bytes, request id of %d", ErrMalformed, len(d.Principal), len(d.RequestID))
	}
	items := (&Draft{}).AddText(ItemKind_ITEM_KIND_BUCKET_NAME, 0, d.Bucket).AddText(ItemKind_ITEM_KIND_KEY, 0, d.Key)
	if d.Client != nil {
		items.AddMessage(ItemKind_ITEM_KIND_CLIENT, 0, d.Client)
	}
	if items.err != nil {
		return nil, items.err
	}
	statement, err := canonical.Marshal(d.Read)
	if err != nil {
		return nil, fmt.Errorf("%w: read: %w", ErrMalformed, err)
	}
	r := &ReadRecord{Time: d.Time, RequestID: bytes.Clone(d.RequestID), Principal: strings.Clone(d.Principal), Statement: statement, Began: d.Read.Began}
	if o := d.Read.Object; o != nil {
		made := o.Seq
		r.Made = &made
	}
	for _, it := range items.Items {
		it.Salt = make([]byte, SaltBytes)
		rand.Read(it.Salt) // never fails (crypto/rand)
		r.Items = append(r.Items, Canonical(it))
	}
	return r, nil
}

// Bytes is about the memory that a record takes.
func (r *ReadRecord) Bytes() int {
	n := 256 + len(r.Principal) + len(r.Statement)
	for _, it := range r.Items {
		n += 64 + len(it)
	}
	return n
}

// Envelope makes the leaf of the record: that of an event (Envelope) but of no kind, without
// an outcome and a state.
func (r *ReadRecord) Envelope(seq uint64, time int64) []byte {
	sums := make([]digest.Sum, len(r.Items))
	for i, it := range r.Items {
		sums[i] = ItemHash(it)
	}
	statement, items := StatementHash(r.Statement), ItemsHash(sums)
	return Canonical(&Envelope{
		Seq: seq, Time: time, RequestId: r.RequestID, Principal: r.Principal, StatementHash: statement[:], ItemsHash: items[:],
	})
}
