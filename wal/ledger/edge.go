package ledger

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/merkle"
)

// edge is the right edge of the tiles: the hashes of every tile that is not full
// yet, and the tree's frontier. From leaf hashes alone it makes every tile.
// An edge in a state is never changed; append to a clone.
type edge struct {
	frontier merkle.Frontier
	// levels[l] are the hashes of the tile at level l that is not full: at most
	// BundleSize-1 between two adds.
	levels [][]tlog.Hash
}

// visit is told of each hash that an add puts on a tile: the n-th tile of a level,
// whose hashes so far are hashes, the new one last; with BundleSize of them the
// tile is full. It must not keep hashes.
type visit func(level int, n uint64, hashes []tlog.Hash) error

// add appends a leaf by its hash, and the hash of every tile it fills to the
// level above. After an error of visit the edge is not to be used.
func (e *edge) add(h tlog.Hash, v visit) error {
	e.frontier.AppendHash(h)
	size := e.frontier.Size()
	for l := 0; ; l++ {
		if l == len(e.levels) {
			e.levels = append(e.levels, make([]tlog.Hash, 0, BundleSize))
		}
		e.levels[l] = append(e.levels[l], h)
		if err := v(l, (size>>(TileHeight*l)-1)>>TileHeight, e.levels[l]); err != nil {
			return err
		}
		if len(e.levels[l]) < BundleSize {
			return nil
		}
		h = tileRoot(e.levels[l])
		e.levels[l] = e.levels[l][:0]
	}
}

// partials calls v for each tile that is not full and not empty.
func (e *edge) partials(v visit) error {
	for l, hashes := range e.levels {
		if len(hashes) == 0 {
			continue
		}
		if err := v(l, e.frontier.Size()>>(TileHeight*(l+1)), hashes); err != nil {
			return err
		}
	}
	return nil
}

// tree is the head of the tree that ends here.
func (e *edge) tree() tlog.Tree {
	return tlog.Tree{N: int64(e.frontier.Size()), Hash: e.frontier.Root()}
}

// clone returns a copy that shares nothing with e.
func (e *edge) clone() *edge {
	c := &edge{frontier: e.frontier, levels: make([][]tlog.Hash, len(e.levels))}
	for l, hashes := range e.levels {
		c.levels[l] = append(make([]tlog.Hash, 0, BundleSize), hashes...)
	}
	return c
}

// loadEdge computes the edge of the first size leaves (a multiple of BundleSize)
// from full tiles, without believing them: the caller compares the root.
func loadEdge(f *files, size uint64) (*edge, error) {
	e := &edge{levels: make([][]tlog.Hash, 1)}
	for l := 1; size>>(TileHeight*l) > 0; l++ {
		var hashes []tlog.Hash
		from := size >> (TileHeight * (l + 1)) << TileHeight
		for n := from; n < size>>(TileHeight*l); n++ {
			tile, err := f.tile(l-1, n)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, tileRoot(unpackHashes(tile)))
		}
		e.levels = append(e.levels, hashes)
	}
	t := &tiles{files: f, size: size, levels: e.levels}
	frontier, err := merkle.Load(size, t)
	if err != nil {
		return nil, err
	}
	e.frontier = *frontier
	return e, nil
}

// tileRoot is the hash of a full tile in the level above.
func tileRoot(hashes []tlog.Hash) tlog.Hash {
	level := slices.Clone(hashes)
	for ; len(level) > 1; level = level[:len(level)/2] {
		for i := range len(level) / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
	}
	return level[0]
}

// packHashes gives the bytes of a tile.
func packHashes(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

// unpackHashes is the inverse of packHashes.
func unpackHashes(b []byte) []tlog.Hash {
	hashes := make([]tlog.Hash, len(b)/tlog.HashSize)
	for i := range hashes {
		copy(hashes[i][:], b[i*tlog.HashSize:])
	}
	return hashes
}

// tiles reads the tiles of the first size leaves, full ones from their files and
// those of the edge from memory. It serves tlog.TileHashReader, which checks what
// it reads; ReadHashes does not. Safe for concurrent use.
type tiles struct {
	files  *files
	size   uint64
	levels [][]tlog.Hash
}

// Height implements tlog.TileReader.
func (t *tiles) Height() int { return TileHeight }

// SaveTiles implements tlog.TileReader. The tiles are stored already.
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (t *tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, w := range want {
		if w.H != TileHeight || w.L < 0 || w.N < 0 || w.W < 1 || w.W > BundleSize {
			return nil, fmt.Errorf("ledger: no tile %s", w.Path())
		}
		b, err := t.tile(w.L, uint64(w.N), w.W)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}

// ReadHashes implements tlog.HashReader without checking the tiles it reads.
func (t *tiles) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		where := tlog.TileForIndex(TileHeight, x)
		b, err := t.tile(where.L, uint64(where.N), where.W)
		if err != nil {
			return nil, err
		}
		if out[i], err = tlog.HashFromTile(where, b, x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tile gives the first width hashes of the n-th tile of a level.
func (t *tiles) tile(level int, n uint64, width int) ([]byte, error) {
	full := t.size >> (TileHeight * (level + 1)) // number of full tiles
	switch {
	case n < full:
		b, err := t.files.tile(level, n)
		if err != nil {
			return nil, err
		}
		return b[:width*tlog.HashSize], nil
	case n == full && level < len(t.levels) && width <= len(t.levels[level]):
		return packHashes(t.levels[level][:width]), nil
	}
	return nil, fmt.Errorf("ledger: tile %s is not in a tree of %d leaves", TilePath(level, n, width), t.size)
}
