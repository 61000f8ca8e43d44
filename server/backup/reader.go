package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"ironman/wal/digest"
	"ironman/wal/ledger"
	"ironman/wal/segment"
)

// Reader reads a point. What it gives is verified: state, entries and blobs by their sums, the
// files of the ledger by VerifyLedger. Safe for concurrent use.
type Reader struct {
	Point *Point

	t     Target
	blobs *catalog
}

// OpenPoint opens the point of a sequence, or the newest one (Newest). It reads where all
// its blobs are.
func OpenPoint(ctx context.Context, t Target, seq uint64) (*Reader, error) {
	if seq == Newest {
		all, err := Points(ctx, t)
		if err != nil {
			return nil, err
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%w: %s holds no point", ErrNotFound, t)
		}
		seq = all[len(all)-1]
	}
	p, err := ReadPoint(ctx, t, seq)
	if err != nil {
		return nil, err
	}
	blobs, err := readCatalog(ctx, t, p.Blobs.Indexes)
	if err != nil {
		return nil, err
	}
	r := &Reader{Point: p, t: t, blobs: blobs}
	if err := r.keepListed(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// keepListed forgets where blobs are that the point's lists do not name: an index tells of all
// that some run has sent.
func (r *Reader) keepListed(ctx context.Context) error {
	rows, at := r.blobs.rows, 0
	r.blobs.rows = rows[:0]
	for b, err := range r.Blobs(ctx) {
		if err != nil {
			return err
		}
		for ; at < len(rows) && compareIDs(rows[at].blob.BlobID, b.BlobID) <= 0; at++ {
			if rows[at].blob == b {
				r.blobs.rows = append(r.blobs.rows, rows[at])
			}
		}
	}
	return nil
}

// Newest stands for the newest point.
const Newest = 0

// file opens a file by content.
func (r *Reader) file(ctx context.Context, f File) (io.ReadCloser, error) {
	body, err := r.t.Open(ctx, f.place(), 0, -1)
	if err != nil {
		return nil, missing(f.Name, err)
	}
	return newVerified(body, f.place()+" ("+f.Name+")", f.Size, f.sum()), nil
}

// StateFile opens one of Point.State.Files. Whoever has read it to io.EOF has what it was.
func (r *Reader) StateFile(ctx context.Context, f File) (io.ReadCloser, error) { return r.file(ctx, f) }

// Entries gives the entries of the log, from Point.Log.First to Last. It ends after the first
// error; that the last one was given vouches for them only where there was none behind it.
func (r *Reader) Entries(ctx context.Context) iter.Seq2[segment.Entry, error] {
	return func(yield func(segment.Entry, error) bool) {
		body, err := r.file(ctx, r.Point.Log.File)
		if err != nil {
			yield(segment.Entry{}, err)
			return
		}
		for e, err := range ReadEntries(body, r.Point.Log.First, r.Point.Log.Last) {
			if err != nil {
				err = fmt.Errorf("%s: %w", r.Point.Log.File.place(), err)
			}
			if !yield(e, err) || err != nil {
				body.Close()
				return
			}
		}
		if err := body.Close(); err != nil {
			yield(segment.Entry{}, err)
		}
	}
}

// LedgerFiles names the ledger's files below its directory, as an archive of Point.Ledger.Size
// events has them, but for the checkpoint: that is Point.Ledger.Checkpoint.
func (r *Reader) LedgerFiles() iter.Seq[string] { return ledgerFiles(0, r.Point.Ledger.Size) }

// ledgerFiles are those that an archive of size events has more than one of from events:
// tiles come behind what they are of.
func ledgerFiles(from, size uint64) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n := from / bundleSize; n < size/bundleSize; n++ {
			if !yield(ledger.EntriesPath(n, bundleSize)) || !yield(ledger.PayloadPath(n, bundleSize)) {
				return
			}
			for level, tile := 0, n; ; level, tile = level+1, tile/bundleSize {
				if !yield(ledger.TilePath(level, tile, bundleSize)) {
					return
				}
				if tile%bundleSize != bundleSize-1 {
					break
				}
			}
		}
	}
}

const ledgerPrefix = "ledger/"

// LedgerFile opens one of LedgerFiles. Its bytes are not verified: VerifyLedger does that, or
// whoever opens the archive that is made of them.
func (r *Reader) LedgerFile(ctx context.Context, name string) (io.ReadCloser, error) {
	body, err := r.t.Open(ctx, ledgerPrefix+name, 0, -1)
	if err != nil {
		return nil, missing(ledgerPrefix+name, err)
	}
	return body, nil
}

// Blobs gives the blobs of the point, ascending by id. It ends after the first error.
func (r *Reader) Blobs(ctx context.Context) iter.Seq2[Blob, error] {
	return func(yield func(Blob, error) bool) {
		count, bytes, last := uint64(0), uint64(0), BlobID{}
		for _, f := range r.Point.Blobs.Lists {
			blobs, err := r.list(ctx, f)
			if err == nil && len(blobs) > 0 && count > 0 && !last.Less(blobs[0].BlobID) {
				err = damaged(f.Name, "it does not come behind the list before it")
			}
			if err != nil {
				yield(Blob{}, err)
				return
			}
			for _, b := range blobs {
				if !yield(b, nil) {
					return
				}
				count, bytes, last = count+1, bytes+b.Size, b.BlobID
			}
		}
		if s := &r.Point.Blobs; count != s.Count || bytes != s.Bytes {
			yield(Blob{}, damaged(PointName(r.Point.Seq), "its lists have %d blobs of %d bytes, and it says %d of %d", count, bytes, s.Count, s.Bytes))
		}
	}
}

// absent are the blobs of the point whose bytes the cluster had lost when it was taken.
func (r *Reader) absent(ctx context.Context) (map[Blob]struct{}, error) {
	absent := make(map[Blob]struct{})
	for _, f := range r.Point.Blobs.Absent {
		blobs, err := r.list(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, b := range blobs {
			absent[b] = struct{}{}
		}
	}
	return absent, nil
}

func (r *Reader) list(ctx context.Context, f File) ([]Blob, error) {
	if f.Size > int64(maxList) {
		return nil, damaged(f.Name, "a list of %d bytes", f.Size)
	}
	body, err := r.file(ctx, f)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	return decodeBlobs(f.Name, b)
}

// OpenBlob opens the bytes of a blob of the given size. Each piece is verified before its
// first byte is given. A blob that the point's lists do not name, or its packs do not have, is
// ErrNotFound.
func (r *Reader) OpenBlob(ctx context.Context, b Blob) (io.ReadCloser, error) {
	pieces := r.blobs.pieces(b)
	if pieces == nil {
		return nil, fmt.Errorf("%w: bytes of the blob %v (%d bytes) in %s", ErrNotFound, b.BlobID, b.Size, r.t)
	}
	return &blobReader{r: r, ctx: ctx, pieces: pieces}, nil
}

// blobReader reads the pieces of a blob.
type blobReader struct {
	r      *Reader
	ctx    context.Context
	pieces []located
	rest   []byte
}

// Read implements io.Reader.
func (b *blobReader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if len(b.pieces) == 0 {
			return 0, io.EOF
		}
		var err error
		if b.rest, err = b.r.piece(b.ctx, &b.pieces[0]); err != nil {
			return 0, err
		}
		b.pieces = b.pieces[1:]
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (b *blobReader) Close() error {
	b.pieces, b.rest = nil, nil
	return nil
}

// piece reads and verifies a piece.
func (r *Reader) piece(ctx context.Context, l *located) ([]byte, error) {
	name := r.blobs.where(l)
	body, err := r.t.Open(ctx, name, int64(l.at), int64(l.length))
	if err != nil {
		return nil, missing(name, err)
	}
	b := make([]byte, l.length)
	_, err = io.ReadFull(body, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = damaged(name, "it ends within the blob %v", l.blob.BlobID)
	}
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	if digest.SHA256(b) != l.sum {
		return nil, damaged(name, "the bytes of the blob %v (%d bytes at %d) have another SHA-256", l.blob.BlobID, l.length, l.at)
	}
	return b, nil
}
