package erasure

import (
	"context"
	"fmt"
	"io"
	"math"

	"ironman/wal/event"
)

// Place stores the bytes of a blob that exists anew, as Put would store them now: with
// the geometry of today's disks, whatever it was. old is the blob's row; r gives exactly
// its bytes. The row that is returned has the same id and size; every shard of it, also
// one that was given up within the tolerance, has a generation above all of old, so that
// no cell of either can pass for one of the other. Until an event names the new row, the
// old one stands and nobody reads what was written here.
//
// Whatever fails, the blob is never among Abandoned: its id is in use. What a Place that
// no event names has left lies in its packs as the shards of an abandoned blob do, until
// their packs are released.
func (s *Store) Place(ctx context.Context, r io.Reader, old *event.Blob) (*event.Blob, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	newest := uint32(0)
	for _, sh := range old.GetShards() {
		newest = max(newest, sh.GetGeneration())
	}
	if old.GetId() == nil || old.GetSize() == 0 || newest == math.MaxUint32 {
		return nil, fmt.Errorf("%w: a blob of %d bytes, generation %d, to be placed anew", ErrInvalid, old.GetSize(), newest)
	}
	ctx, stop := s.bound(ctx)
	defer stop()
	w := &blobWriter{s: s, key: BlobKeyOf(old.Id), policy: s.o.Policy, generation: newest + 1, lost: newest + 1}
	return w.write(ctx, r, old.Size)
}
