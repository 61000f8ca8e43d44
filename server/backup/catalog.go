package backup

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"ironman/wal/digest"
)

// catalog knows where pieces of blobs are, by blob and offset. Some 100 bytes a piece are held in
// memory.
type catalog struct {
	indexes []File // that it was made of
	rows    []located
}

// located is a piece in one of the indexes.
type located struct {
	piece
	index uint32 // of catalog.indexes
}

// where names the pack of a piece.
func (c *catalog) where(l *located) string {
	run, _, _ := parseIndexName(c.indexes[l.index].Name)
	return packName(run, l.pack)
}

// add adds an index.
func (c *catalog) add(f File, pieces []piece) {
	n := uint32(len(c.indexes))
	c.indexes = append(c.indexes, f)
	for _, p := range pieces {
		c.rows = append(c.rows, located{p, n})
	}
}

// sort brings the rows into order, and drops those of pieces that are there twice.
func (c *catalog) sort() {
	slices.SortStableFunc(c.rows, func(a, b located) int { return comparePieces(a.piece, b.piece) })
	c.rows = slices.CompactFunc(c.rows, func(a, b located) bool { return comparePieces(a.piece, b.piece) == 0 })
}

// pieces are those of a blob; nil: not all of them are there.
func (c *catalog) pieces(b Blob) []located {
	from := sort.Search(len(c.rows), func(i int) bool { return !c.rows[i].blob.Less(b.BlobID) })
	at, i := uint64(0), from
	for ; at < b.Size; i++ {
		if i == len(c.rows) || c.rows[i].blob != b || c.rows[i].offset != at {
			return nil
		}
		at += uint64(c.rows[i].length)
	}
	return c.rows[from:i]
}

// readIndex reads an index that a point names.
func readIndex(ctx context.Context, t Target, f File) ([]piece, error) {
	b, err := readAll(ctx, t, f.Name, maxIndex)
	if err != nil {
		return nil, missing(f.Name, err)
	}
	if int64(len(b)) != f.Size || digest.SHA256(b) != f.sum() {
		return nil, damaged(f.Name, "its bytes have another SHA-256")
	}
	return decodeIndex(f.Name, b)
}

// readCatalog reads the indexes of a point.
func readCatalog(ctx context.Context, t Target, indexes []File) (*catalog, error) {
	c := &catalog{}
	for _, f := range indexes {
		pieces, err := readIndex(ctx, t, f)
		if err != nil {
			return nil, err
		}
		c.add(f, pieces)
	}
	c.sort()
	return c, nil
}

// missing is what it means that something which a point names is not there.
func missing(name string, err error) error {
	return fmt.Errorf("%s, which the point names: %w", name, err)
}
