package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	"ironman/wal/digest"
)

// each calls do for all items, several at once, until one fails.
func each[T any](ctx context.Context, items iter.Seq[T], do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan T)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for item := range queue {
				if err := do(ctx, item); err != nil {
					cancel(err)
				}
			}
		})
	}
	for item := range items {
		select {
		case queue <- item:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	working.Wait()
	return context.Cause(ctx)
}

// holds tells whether a name has a content.
func holds(ctx context.Context, t Target, name string, c Content) (bool, error) {
	r, err := t.Open(ctx, name, 0, -1)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	hash := digest.NewSHA256()
	n, err := io.Copy(hash, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return false, err
	}
	return n == c.Size && bytes.Equal(hash.Sum(nil), c.Sum[:]), nil
}
