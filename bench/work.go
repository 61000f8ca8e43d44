package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

const (
	kib = 1 << 10
	mib = 1 << 20

	partSize  = 8 * mib // of a multipart upload
	pageKeys  = 1000    // of a listing
	batchKeys = 1000    // of DeleteObjects
)

// work is one kind of load.
type work struct {
	name        string
	size        int64 // of an object, in bytes; 0: by key
	sent        int64 // how much of an object one request sends, in bytes; 0: none
	concurrency int
	// objects are there before a run: once for all runs, or fresh for each.
	objects int
	fresh   bool
	// operate does one operation. errDone: there is nothing left to do.
	operate func(context.Context, *worker) (moved, error)
	// check looks at what a run left behind; nil: nothing to look at.
	check func(context.Context, *run, *worker) error
}

// moved is what one operation did.
type moved struct {
	bytes   int64 // of object content, sent or received
	written int64 // of these, stored by the server
	items   int64 // listed, deleted or expired
}

// errDone ends a worker.
var errDone = errors.New("nothing left to do")

// catalogue returns all works, in the order in which they are run by default.
func catalogue() []work {
	return []work{
		{name: "put-4k", size: 4 * kib, sent: 4 * kib, concurrency: 64, operate: opPut, check: readBack},
		{name: "get-4k", size: 4 * kib, sent: 4 * kib, concurrency: 64, objects: 2000, operate: opGet},
		{name: "put-1m", size: mib, sent: mib, concurrency: 16, operate: opPut, check: readBack},
		{name: "get-1m", size: mib, sent: mib, concurrency: 16, objects: 128, operate: opGet},
		{name: "put-64m", size: 64 * mib, sent: 64 * mib, concurrency: 4, operate: opPut, check: readBack},
		{name: "get-64m", size: 64 * mib, sent: 64 * mib, concurrency: 4, objects: 8, operate: opGet},
		{name: "multipart-64m", size: 64 * mib, sent: partSize, concurrency: 4, operate: opMultipart, check: readBack},
		{name: "list", size: 64, sent: 64, concurrency: 16, objects: 10_000, operate: opList},
		{name: "delete", size: 64, sent: 64, concurrency: 4, objects: 4000, fresh: true, operate: opDelete, check: areGone},
		{name: "mixed", sent: mib, concurrency: 16, objects: 500, operate: opMixed, check: readBack},
	}
}

// workNames returns the names of all works.
func workNames() []string {
	var names []string
	for _, w := range catalogue() {
		names = append(names, w.name)
	}
	return names
}

// worksNamed returns the works of these names, in this order.
func worksNamed(names []string) ([]work, error) {
	var out []work
next:
	for _, n := range names {
		for _, w := range catalogue() {
			if w.name == n {
				out = append(out, w)
				continue next
			}
		}
		return nil, fmt.Errorf("no work is named %q: there are %s", n, strings.Join(workNames(), ", "))
	}
	if len(out) == 0 {
		return nil, errors.New("no work to do")
	}
	return out, nil
}

// sizeOf returns the size of the object of a key, in bytes.
func (w *work) sizeOf(key string) int64 {
	if w.size > 0 {
		return w.size
	}
	switch n := keyHash(key) >> 32 % 20; {
	case n < 14:
		return 4 * kib
	case n < 19:
		return 64 * kib
	default:
		return mib
	}
}

// opPut stores an object under a new key.
func opPut(ctx context.Context, w *worker) (moved, error) {
	key := w.newKey()
	n := w.work.sizeOf(key)
	if err := w.put(ctx, key, n); err != nil {
		return moved{}, err
	}
	w.wrote(key)
	return moved{bytes: n, written: n}, nil
}

// opGet reads one of the objects.
func opGet(ctx context.Context, w *worker) (moved, error) {
	key := w.key(w.rng.IntN(w.objects))
	n := w.work.sizeOf(key)
	return moved{bytes: n}, w.get(ctx, key, n)
}

func opMultipart(ctx context.Context, w *worker) (moved, error) {
	key := w.newKey()
	if err := w.multipart(ctx, key, w.work.size, partSize); err != nil {
		return moved{}, err
	}
	w.wrote(key)
	return moved{bytes: w.work.size, written: w.work.size}, nil
}

// opList reads the next page of a listing of all objects.
func opList(ctx context.Context, w *worker) (moved, error) {
	from, token := w.listed, w.token
	w.listed, w.token = 0, "" // after an error, from the beginning
	next, err := w.side.client.listPage(ctx, w.number, w.have, token, &w.page)
	if err != nil {
		return moved{}, err
	}
	to := min(from+pageKeys, w.objects)
	w.keys = w.keys[:0]
	for i := from; i < to; i++ {
		w.keys = append(w.keys, w.key(i))
	}
	if err := checkPage(w.page.Bytes(), w.keys, w.work.size); err != nil {
		return moved{}, err
	}
	if (next == "") != (to == w.objects) {
		return moved{}, &corruption{"the listing", fmt.Sprintf("of %d keys has another page after %d, or none", w.objects, to)}
	}
	if next != "" {
		w.listed, w.token = to, next
	}
	return moved{items: int64(to - from)}, nil
}

// opDelete deletes the next batch of objects.
func opDelete(ctx context.Context, w *worker) (moved, error) {
	from := int(w.batch.Add(1)-1) * batchKeys
	if from >= w.objects {
		return moved{}, errDone
	}
	w.keys = w.keys[:0]
	for i := from; i < min(from+batchKeys, w.objects); i++ {
		w.keys = append(w.keys, w.key(i))
	}
	if err := w.side.client.removeAll(ctx, w.number, w.keys, &w.page); err != nil {
		return moved{}, err
	}
	w.wrote(w.keys[0])
	w.wrote(w.keys[len(w.keys)-1])
	return moved{items: int64(len(w.keys))}, nil
}

// opMixed reads (45 %), asks for size (30 %), stores (15 %) or deletes (10 %) an
// object. It deletes only what its worker has stored, so that nobody reads it.
func opMixed(ctx context.Context, w *worker) (moved, error) {
	switch n := w.rng.IntN(100); {
	case n < 45:
		return opGet(ctx, w)
	case n < 75:
		key := w.key(w.rng.IntN(w.objects))
		return moved{}, w.head(ctx, key, w.work.sizeOf(key))
	case n < 85 && len(w.stored) > 1:
		key := w.stored[0] // the last is kept to be read back
		w.stored = w.stored[1:]
		return moved{}, w.remove(ctx, key)
	default:
		return opPut(ctx, w)
	}
}

// readBack reads some of the objects that a run has stored.
func readBack(ctx context.Context, r *run, w *worker) error {
	const most = 64 * mib
	var total int64
	for _, key := range r.samples() {
		n := r.stage.work.sizeOf(key)
		if total += n; total > most && total > n {
			return nil
		}
		if err := w.get(ctx, key, n); err != nil {
			return fmt.Errorf("reading back: %w", err)
		}
	}
	return nil
}

// areGone checks that some of the objects that a run has deleted are not there.
func areGone(ctx context.Context, r *run, w *worker) error {
	for _, key := range r.samples() {
		err := w.head(ctx, key, 0)
		var no *refusal
		switch {
		case errors.As(err, &no) && no.status == 404:
		case errors.As(err, &no) || isCorruption(err) || err == nil:
			return &corruption{key, "was deleted and is not gone"}
		default:
			return fmt.Errorf("looking for what was deleted: %w", err)
		}
	}
	return nil
}

func isCorruption(err error) bool {
	var c *corruption
	return errors.As(err, &c)
}
