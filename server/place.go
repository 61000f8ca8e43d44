package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// LostBlob is one of which too few shards are on disks of nodes that are not removed.
type LostBlob struct {
	Blob string `json:"blob"` // its id: incarnation and counter, in hexadecimal, with a dash between
	Size uint64 `json:"size"` // of its bytes, as they were coded: of what is encrypted the ciphertext
}

// LostBlobs is a page of them, in the order of their ids.
type LostBlobs struct {
	Blobs []LostBlob `json:"blobs"`
	// After is where the next page begins: behind it. A page may be empty and have one.
	// "": there are no more.
	After string `json:"after,omitempty"`
}

const (
	// LostBlobsMax is the most that a page has.
	LostBlobsMax = 1000
	// lostRows is how many blobs are looked at for a page.
	lostRows = 50_000
)

// LostBlobs lists lost blobs behind one ("": from the first on), at most limit.
func (n *Node) LostBlobs(ctx context.Context, after string, limit int) (*LostBlobs, error) {
	if limit < 1 || limit > LostBlobsMax {
		return nil, fmt.Errorf("%w: a page has 1 to %d blobs", errBadAsk, LostBlobsMax)
	}
	var behind *event.BlobID
	if after != "" {
		var err error
		if behind, err = parseBlobName(after); err != nil {
			return nil, err
		}
	}
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	found, next, err := v.LostBlobs(behind, lostRows, limit)
	if err := errors.Join(err, v.Close()); err != nil {
		return nil, err
	}
	page := &LostBlobs{Blobs: []LostBlob{}}
	for _, b := range found {
		page.Blobs = append(page.Blobs, LostBlob{blobName(b.Id), b.Size})
	}
	if next != nil {
		page.After = blobName(next)
	}
	return page, nil
}

// parseBlobName reads what blobName writes.
func parseBlobName(s string) (*event.BlobID, error) {
	x, y, _ := strings.Cut(s, "-")
	incarnation, err1 := strconv.ParseUint(x, 16, 64)
	counter, err2 := strconv.ParseUint(y, 16, 64)
	id := &event.BlobID{Incarnation: incarnation, Counter: counter}
	if err1 != nil || err2 != nil || blobName(id) != s {
		return nil, fmt.Errorf("%w: %q is not the id of a blob: two numbers in hexadecimal, with a dash between", errBadAsk, s)
	}
	return id, nil
}

// Placed is what became of a blob that was to be placed anew.
type Placed string

// None of them is an error: whoever sends the same once more is told the second or third.
const (
	PlacedNow    Placed = "placed"
	PlacedBefore Placed = "present" // its bytes are there, and were not looked at
	PlacedNot    Placed = "unnamed" // no event names the blob any more
)

// errPlaceAgain says that nothing was done, and that the same may work when it is tried again.
var errPlaceAgain = errors.New("try again")

// placeOperation is what the record calls it.
const placeOperation = "PlaceBlob"

// PlaceBlob stores the bytes of a lost blob anew, size of which come from r, and names
// their places by an event. As with Put nothing counts before that: whatever fails, the
// blob is as lost as it was, and may be tried again by anybody, also at the same time.
func (n *Node) PlaceBlob(ctx context.Context, name string, r io.Reader, size int64) (Placed, error) {
	id, err := parseBlobName(name)
	if err != nil {
		return "", err
	}
	v, err := views{n}.View(ctx)
	if err != nil {
		return "", err
	}
	old, err1 := v.Blob(id)
	lost, err2 := v.Lost(old)
	c, err3 := v.Cluster()
	if err := errors.Join(err1, err2, err3, v.Close()); err != nil {
		return "", err
	}
	switch {
	case old == nil:
		return PlacedNot, nil
	case uint64(size) != old.Size:
		return "", fmt.Errorf("%w: blob %s has %d bytes, not %d", errBadAsk, name, old.Size, size)
	case !lost:
		return PlacedBefore, nil
	case (&event.Statement{Body: &event.Statement_BlobsPlaced{}}).Level() > c.GetFeatureLevel():
		return "", fmt.Errorf("%w: blobs can be placed once all nodes of the cluster run this release", errPlaceAgain)
	}
	if err := n.room(); err != nil {
		return "", err
	}
	blob, err := n.blobs.Place(ctx, r, old)
	if err != nil {
		return "", storageError(err)
	}
	refusal, err := n.placements.name(ctx, blob)
	if err != nil {
		return "", err
	}
	switch refusal {
	case event.Refusal_REFUSAL_NONE:
		return PlacedNow, nil
	case event.Refusal_REFUSAL_EXISTS: // somebody else was faster
		return PlacedBefore, nil
	case event.Refusal_REFUSAL_NOT_FOUND:
		return PlacedNot, nil
	}
	// What it was written to went meanwhile: a pack was released, a node began anew or was
	// removed.
	return "", fmt.Errorf("%w: the disks that blob %s was written to changed meanwhile (%s)", errPlaceAgain, name, refusal)
}

// placements names blobs that were placed: all that wait, in one event.
type placements struct {
	n    *Node
	turn chan struct{} // holds one token while somebody proposes

	mu      sync.Mutex
	waiting []*placement
}

// placement is a blob that waits for its event.
type placement struct {
	blob *event.Blob
	done chan struct{} // closed once the rest is set
	// What became of it; the refusal of the event, or of this blob in it.
	refusal event.Refusal
	err     error
}

// mostPlaced bounds the blobs of one event.
const mostPlaced = 1000

// placeLimit bounds how long an event is tried.
const placeLimit = 30 * time.Second

func newPlacements(n *Node) *placements { return &placements{n: n, turn: make(chan struct{}, 1)} }

// name proposes an event that names a blob, together with others, and tells what became
// of it. An error says that this is not known, or that nothing will.
func (p *placements) name(ctx context.Context, b *event.Blob) (event.Refusal, error) {
	x := &placement{blob: b, done: make(chan struct{})}
	p.mu.Lock()
	p.waiting = append(p.waiting, x)
	p.mu.Unlock()
	for {
		select {
		case <-x.done:
			return x.refusal, x.err
		case <-ctx.Done(): // others will name it, or nobody
			return 0, ctx.Err()
		case p.turn <- struct{}{}:
			p.propose(ctx)
			<-p.turn
		}
	}
}

// propose names those that wait longest. It does not end with the request whose turn it is.
func (p *placements) propose(ctx context.Context) {
	p.mu.Lock()
	some := p.waiting[:min(len(p.waiting), mostPlaced)]
	p.waiting = p.waiting[len(some):]
	p.mu.Unlock()
	if len(some) == 0 {
		return
	}
	b := &event.BlobsPlaced{}
	for _, x := range some {
		b.Blobs = append(b.Blobs, x.blob)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), placeLimit)
	defer cancel()
	a, err := p.n.agreeAsRoot(ctx, placeOperation, event.NewDraft(nil, &event.Statement_BlobsPlaced{BlobsPlaced: b}))
	for i, x := range some {
		switch {
		case err != nil:
			x.err = err
		case a.Outcome.Refusal != event.Refusal_REFUSAL_NONE:
			x.refusal = a.Outcome.Refusal
		default:
			x.refusal = a.Outcome.Subs[i].Refusal
		}
		close(x.done)
	}
}

// whyUnread is the error for bytes that could not be read: those of a lost blob are yet to
// be restored, and no try will find them before that.
func (n *Node) whyUnread(b *event.Blob, err error) error {
	v, err2 := n.machine.View()
	if err2 != nil {
		return storageError(err)
	}
	lost, err2 := v.Lost(b)
	if errors.Join(err2, v.Close()) == nil && lost {
		return s3err.Newf("ServiceUnavailable", "The bytes of this object are not restored yet. Try again later.").Because(err)
	}
	return storageError(err)
}
