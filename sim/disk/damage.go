package disk

import (
	"io/fs"
	"math/rand/v2"
	"syscall"
)

// Rot is how stored bytes go bad.
type Rot uint8

// The kinds of rot (F-D6).
const (
	Bit Rot = iota
	Sector
	Block
)

func (r Rot) fault() Fault { return BitRot + Fault(r) }

// Damage is what went bad.
type Damage struct {
	Path   string
	Offset int64
	Length int
}

// Damage makes the stored byte at offset of a file go bad, with the sector or block
// about it. It strikes what is read now and what is durable.
func (v *Volume) Damage(name string, offset int64, rot Rot) (x Damage, err error) {
	name = clean(name)
	v.with(func() {
		if !v.has(name) {
			err = syscall.EXDEV
			return
		}
		n, e := v.tree.find(v.rel(name))
		switch {
		case e != nil:
			err = e
		case n.isDir():
			err = syscall.EISDIR
		case offset < 0 || offset >= n.content.size:
			err = syscall.EINVAL
		default:
			x = v.rot(n, offset, rot, v.disk.rng)
			x.Path = name
		}
	})
	if err != nil {
		err = &fs.PathError{Op: "damage", Path: name, Err: err}
	}
	return x, err
}

// DamageAny does so at any byte of the files that the filter lets pass (nil: all),
// each byte with the same chance. It returns false when there are none.
func (v *Volume) DamageAny(rng *rand.Rand, filter func(name string) bool, rot Rot) (x Damage, ok bool) {
	v.with(func() {
		var sum int64
		var among []found
		v.walk(func(f found) {
			if f.node.content.size > 0 && (filter == nil || filter(f.path)) {
				among = append(among, f)
				sum += f.node.content.size
			}
		})
		if ok = sum > 0; !ok {
			return
		}
		at := rng.Int64N(sum)
		for _, f := range among {
			if at < f.node.content.size {
				x = v.rot(f.node, at, rot, rng)
				x.Path = f.path
				return
			}
			at -= f.node.content.size
		}
	})
	return x, ok
}

// rot makes the byte at off of n go bad.
func (v *Volume) rot(n *node, off int64, rot Rot, rng *rand.Rand) Damage {
	v.disk.tally[rot.fault()].Add(1)
	from, length := off, int64(1)
	switch rot {
	case Sector:
		from, length = off/sectorBytes*sectorBytes, sectorBytes
	case Block:
		from, length = off/blockBytes*blockBytes, blockBytes
	}
	length = min(length, n.content.size-from)
	var bad block
	if rot == Bit {
		bad[0] = 1 << rng.IntN(8)
	} else {
		scribble(rng, bad[:length])
		bad[off-from] |= 1 // at least this one is another
	}
	at := from % blockBytes
	n.content.strike(from/blockBytes, func(b *block) {
		for i := range length {
			b[at+i] ^= bad[i]
		}
	})
	return Damage{Offset: from, Length: int(length)}
}

// read reads, the faults as they are.
func (v *Volume) read(n *node, p []byte, off int64, x *verdict) int {
	there := int(max(0, min(int64(len(p)), n.content.size-off)))
	if there == 0 {
		return 0
	}
	switch x.hit {
	case BitRot, SectorRot, BlockRot:
		x.fired = true
		rng := rand.New(rand.NewPCG(x.roll, x.roll))
		v.rot(n, off+rng.Int64N(int64(there)), Rot(x.hit-BitRot), rng)
	case MisdirectedRead:
		if other, at, ok := v.elsewhere(n, off, x.roll, true); ok {
			v.disk.fire(x, x.hit)
			clear(p[:there])
			other.content.readAt(p[:there], at)
			return there
		}
	}
	return n.content.readAt(p, off)
}

// astray does with a write what the disk does that loses it, or puts it elsewhere.
func (v *Volume) astray(n *node, p []byte, off int64, x *verdict) bool {
	switch x.hit {
	case LostWrite:
		return v.disk.fire(x, LostWrite)
	case MisdirectedOffset, MisdirectedFile:
		other, at, ok := v.elsewhere(n, off, x.roll, x.hit == MisdirectedFile)
		if !ok {
			return false
		}
		v.disk.fire(x, x.hit)
		p = p[:min(int64(len(p)), other.content.size-at)]
		for len(p) > 0 {
			from := int(at % blockBytes)
			k := min(len(p), blockBytes-from)
			other.content.strike(at/blockBytes, func(b *block) { copy(b[from:], p[:k]) })
			p, at = p[k:], at+int64(k)
		}
		return true
	}
	return false
}

// elsewhere is a place that is not off in n: in another block of it, or in another
// file. It is as far into a block as off, where the file is long enough.
func (v *Volume) elsewhere(n *node, off int64, roll uint64, file bool) (*node, int64, bool) {
	rng := rand.New(rand.NewPCG(roll, roll))
	other := n
	if file {
		var among []*node
		v.walk(func(f found) {
			if f.node != n && f.node.content.size > 0 {
				among = append(among, f.node)
			}
		})
		if len(among) == 0 {
			return nil, 0, false
		}
		other = among[rng.IntN(len(among))]
	}
	here, size := off/blockBytes, other.content.size
	i := rng.Int64N(max(1, blocksOf(size)))
	if other == n && i == here {
		if i++; i >= blocksOf(size) {
			i = 0
		}
		if i == here {
			return nil, 0, false
		}
	}
	at := i*blockBytes + off%blockBytes
	if at >= size {
		at = i * blockBytes
	}
	return other, at, at < size
}
