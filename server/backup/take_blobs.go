package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ironman/wal/digest"
)

// takeBlobs lists the state's blobs, sends those that no earlier run has sent, and says where
// all of them are.
func (x *taking) takeBlobs(ctx context.Context, p *Point) error {
	have, err := x.known(ctx)
	if err != nil {
		return err
	}
	missing, err := x.listBlobs(ctx, p, have)
	if err != nil {
		return err
	}
	missing, absent, err := x.withoutLost(ctx, missing)
	if err != nil {
		return err
	}
	k := &packer{x: x, have: have}
	for _, b := range missing {
		k.total += b.Size
	}
	for _, b := range missing {
		if err := k.add(ctx, b); err != nil {
			return err
		}
	}
	if err := k.flush(ctx); err != nil {
		return err
	}
	if len(k.lost) > 0 {
		return lostError(k.lost)
	}
	if err := x.putAbsent(ctx, p, absent); err != nil {
		return err
	}
	have.sort()
	return x.nameIndexes(ctx, p, have)
}

// withoutLost takes those out of what is to be sent that the cluster has lost.
func (x *taking) withoutLost(ctx context.Context, missing []Blob) (left, absent []Blob, err error) {
	if len(missing) == 0 {
		return nil, nil, nil
	}
	all, err := x.From.Lost(ctx, x.run.Run)
	if err != nil {
		return nil, nil, err
	}
	lost := make(map[Blob]struct{}, len(all))
	for _, b := range all {
		lost[b] = struct{}{}
	}
	for _, b := range missing {
		if _, ok := lost[b]; ok {
			absent = append(absent, b)
		} else {
			left = append(left, b)
		}
	}
	return left, absent, nil
}

// putAbsent lists in the point what the cluster has lost, if that may be.
func (x *taking) putAbsent(ctx context.Context, p *Point, absent []Blob) error {
	if len(absent) == 0 {
		return nil
	}
	if !x.WithoutLost {
		return fmt.Errorf("backup: the cluster has lost %d blobs (such as %v): too few of their shards are on nodes that are not removed. No point was written "+
			"(what was copied stays, for the next run); --without-lost takes one without their bytes", len(absent), absent[0].BlobID)
	}
	x.warn(fmt.Sprintf("the cluster has lost %d blobs (such as %v): their bytes are not in this point", len(absent), absent[0].BlobID))
	files, err := x.sizes(ctx, "files/")
	if err != nil {
		return err
	}
	for some := range slices.Chunk(absent, 1<<listBits) {
		c := contentOf(encodeBlobs(some))
		f := File{Name: fmt.Sprintf("absent-%d-%d", some[0].Incarnation, some[0].Counter), Size: c.Size, Sum: hex.EncodeToString(c.Sum[:])}
		p.Blobs.Absent = append(p.Blobs.Absent, f)
		if err := x.putFile(ctx, files, f, c); err != nil {
			return err
		}
	}
	return nil
}

// known is what earlier runs have sent, also those that were cut off. An index that is
// damaged, or that names a pack which is not there, counts for nothing.
func (x *taking) known(ctx context.Context) (*catalog, error) {
	items, err := x.To.List(ctx, "packs/")
	if err != nil {
		return nil, err
	}
	packs := make(map[string]int64, len(items))
	for _, i := range items {
		packs[i.Name] = i.Size
	}
	c := &catalog{}
	for _, i := range items {
		name := i.Name
		run, _, ok := parseIndexName(name)
		if !ok {
			continue
		}
		b, err := readAll(ctx, x.To, name, maxIndex)
		var pieces []piece
		if err == nil {
			pieces, err = decodeIndex(name, b)
		}
		if errors.Is(err, ErrDamaged) {
			x.warn(fmt.Sprintf("%v: what it tells of is sent again; points that name it are damaged", err))
			continue
		}
		if err != nil {
			return nil, err
		}
		pieces = slices.DeleteFunc(pieces, func(p piece) bool {
			there, ok := packs[packName(run, p.pack)]
			return !ok || there < int64(p.at)+int64(p.length)
		})
		sum := digest.SHA256(b)
		c.add(File{Name: name, Size: int64(len(b)), Sum: hex.EncodeToString(sum[:])}, pieces)
	}
	c.sort()
	return c, nil
}

// listBlobs puts the lists of the state's blobs, and returns the blobs that are not known.
func (x *taking) listBlobs(ctx context.Context, p *Point, have *catalog) (missing []Blob, err error) {
	files, err := x.sizes(ctx, "files/")
	if err != nil {
		return nil, err
	}
	var list []Blob
	put := func() error {
		if len(list) == 0 {
			return nil
		}
		c := contentOf(encodeBlobs(list))
		at := listOf(list[0].BlobID)
		f := File{Name: fmt.Sprintf("blobs-%d-%d", at.Incarnation, at.Counter), Size: c.Size, Sum: hex.EncodeToString(c.Sum[:])}
		p.Blobs.Lists = append(p.Blobs.Lists, f)
		list = nil
		return x.putFile(ctx, files, f, c)
	}
	var after *BlobID
	for more := true; more; {
		var blobs []Blob
		if blobs, more, err = x.From.Blobs(ctx, x.run.Run, after); err != nil {
			return nil, err
		}
		for _, b := range blobs {
			if len(list) > 0 && listOf(list[0].BlobID) != listOf(b.BlobID) {
				if err := put(); err != nil {
					return nil, err
				}
			}
			list = append(list, b)
			p.Blobs.Count, p.Blobs.Bytes = p.Blobs.Count+1, p.Blobs.Bytes+b.Size
			if have.pieces(b) == nil {
				missing = append(missing, b)
			}
		}
		if len(blobs) > 0 {
			after = &blobs[len(blobs)-1].BlobID
		}
	}
	return missing, put()
}

// nameIndexes names in the point the indexes that its blobs are found by.
func (x *taking) nameIndexes(ctx context.Context, p *Point, have *catalog) error {
	used := make([]bool, len(have.indexes))
	r := &Reader{Point: p, t: x.To, blobs: have}
	absent, err := r.absent(ctx)
	if err != nil {
		return err
	}
	for b, err := range r.Blobs(ctx) {
		if err != nil {
			return err
		}
		pieces := have.pieces(b)
		if _, ok := absent[b]; ok {
			continue
		}
		if pieces == nil {
			return fmt.Errorf("backup: the blob %v was not sent", b.BlobID)
		}
		for i := range pieces {
			used[pieces[i].index] = true
		}
	}
	for i, f := range have.indexes {
		if used[i] {
			p.Blobs.Indexes = append(p.Blobs.Indexes, f)
		}
	}
	slices.SortFunc(p.Blobs.Indexes, func(a, b File) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	return nil
}

// packer makes packs of blobs. Packs are sent several at once, and an index when all of some
// are there.
type packer struct {
	x    *taking
	have *catalog

	pack    []piece // of the next one; its sums are not known yet
	at      uint32  // where that one ends
	number  uint32  // its number
	packs   [][]piece
	planned int // pieces in packs

	total uint64
	done  atomic.Uint64

	mu   sync.Mutex
	lost []string // blobs that could not be read, and why
}

// add adds a blob, piece by piece.
func (k *packer) add(ctx context.Context, b Blob) error {
	for offset := uint64(0); offset < b.Size; {
		length, _ := pieceAt(b.Size, offset)
		if k.at+length > MaxPackBytes || len(k.pack) == packPieces {
			if err := k.close(ctx); err != nil {
				return err
			}
		}
		k.pack = append(k.pack, piece{blob: b, offset: offset, pack: k.number, at: k.at, length: length})
		k.at += length
		offset += uint64(length)
	}
	return nil
}

// packPieces is how many pieces a pack has at most: so many that an index of some packs has
// room for all of theirs.
const packPieces = indexPieces / 4

// close ends the pack that is being filled.
func (k *packer) close(ctx context.Context) error {
	if len(k.pack) == 0 {
		return nil
	}
	k.packs = append(k.packs, k.pack)
	k.planned += len(k.pack)
	k.pack, k.at = nil, 0
	k.number++
	if len(k.packs) == indexPacks || k.planned+packPieces > indexPieces {
		return k.send(ctx)
	}
	return nil
}

func (k *packer) flush(ctx context.Context) error {
	if err := k.close(ctx); err != nil {
		return err
	}
	return k.send(ctx)
}

// send sends the packs, then their index.
func (k *packer) send(ctx context.Context) error {
	if len(k.packs) == 0 {
		return nil
	}
	var mu sync.Mutex
	var sent []piece
	err := each(ctx, slices.Values(k.packs), func(ctx context.Context, pack []piece) error {
		pieces, err := k.sendPack(ctx, pack)
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, pieces...)
		return err
	})
	k.packs, k.planned = nil, 0
	if err != nil || len(sent) == 0 {
		return err
	}
	b := encodeIndex(sent)
	c := contentOf(b)
	f := File{Name: indexName(k.x.run.Run, k.number), Size: c.Size, Sum: hex.EncodeToString(c.Sum[:])}
	if err := k.x.put(ctx, f.Name, c); err != nil {
		return err
	}
	k.have.add(f, sent)
	return nil
}

// sendPack reads the pieces of a pack from the node and puts it. Those that cannot be read
// leave a gap in it.
func (k *packer) sendPack(ctx context.Context, pack []piece) ([]piece, error) {
	last := &pack[len(pack)-1]
	room := make([]byte, last.at+last.length)
	gone := make(map[int]bool)
	for from := 0; from < len(pack); from += MaxAsks {
		some := pack[from:min(len(pack), from+MaxAsks)]
		asks := make([]Ask, len(some))
		for i := range some {
			asks[i] = Ask{some[i].blob.BlobID, some[i].offset, some[i].length}
		}
		at := func(i int) []byte { return room[some[i].at:][:some[i].length] }
		lost, err := k.x.fetch(ctx, asks, at)
		if err != nil {
			return nil, err
		}
		k.note(some, lost)
		for i := range lost {
			gone[from+i] = true
		}
	}
	var there []piece
	for i := range pack {
		if gone[i] {
			continue
		}
		p := pack[i]
		p.sum = digest.SHA256(room[p.at:][:p.length])
		there = append(there, p)
	}
	if len(there) == 0 {
		return nil, nil
	}
	if err := k.x.put(ctx, packName(k.x.run.Run, pack[0].pack), contentOf(room)); err != nil {
		return nil, err
	}
	for i := range there {
		if there[i].offset == 0 {
			k.x.blobs.Add(1)
		}
	}
	k.x.progress("blobs", k.done.Add(uint64(len(room))), max(k.total, 1), "bytes")
	return there, nil
}

// pieceTries is how often a piece is asked for that the node cannot read: it may be able to
// after a while, when a node or a disk is back.
const pieceTries = 3

// fetch reads pieces, each into its room, and tells which the node cannot read, and why.
func (x *taking) fetch(ctx context.Context, asks []Ask, room func(i int) []byte) (lost map[int]string, err error) {
	which := make([]int, len(asks))
	for i := range which {
		which[i] = i
	}
	for tries := 1; ; tries++ {
		some := make([]Ask, len(which))
		for i, n := range which {
			some[i] = asks[n]
		}
		lost = make(map[int]string)
		err := x.From.Pieces(ctx, x.run.Run, some, func(i int) []byte { return room(which[i]) }, func(i int, why string) { lost[which[i]] = why })
		if err != nil || len(lost) == 0 || tries == pieceTries {
			return lost, err
		}
		which = slices.Sorted(maps.Keys(lost))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lastPause):
		}
	}
}

// note notes what could not be read.
func (k *packer) note(some []piece, lost map[int]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, why := range lost {
		k.lost = append(k.lost, fmt.Sprintf("blob %v at %d: %s", some[i].blob.BlobID, some[i].offset, why))
	}
}
