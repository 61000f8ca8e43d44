package segment

import (
	"encoding/binary"
	"fmt"
	"slices"

	"ironman/sim/sabotage"
)

// The manifest's document, in the slots of the file MANIFEST (little-endian):
//
//	 0         8        16        20        24
//	+---------+--------+---------+---------+-------------------+--------------
//	| next id | floor  | number  | number  | segments,         | retired ids,
//	| 8       | 8      | of seg. | retired | 32 bytes each     | 8 bytes each
//	+---------+--------+---------+---------+-------------------+--------------
//	segment: id 8, salt 8, first index 8, last index 8 (0: still appended to)
//
// Both lists ascend by id. A file whose id is not below next was never listed, a
// retired one never will be again: these two kinds may be unlinked.
const (
	manifestVersion = 1
	manifestHeader  = 24
	recordBytes     = 32
	// manifestSlot has room for about 2,000 segments: 125 GiB that wait to be archived.
	manifestSlot = 64 << 10
	// maxIndex keeps index arithmetic from wrapping.
	maxIndex = 1 << 62
)

func manifestFormat() SlotFormat {
	return SlotFormat{Magic: Magic{'I', 'M', 'S', '3', 'm', 'a', 'n', '\n'}, Version: manifestVersion, Bytes: manifestSlot}
}

// record is the manifest's line for a segment file.
type record struct {
	origin
	// base is the index of its first entry, or of the first it will get.
	base uint64
	// last is the index of its last entry that counts; what stands behind it is
	// dead. 0: open for appending.
	last uint64
}

// manifest says which files make up the log. Invariants, kept by validate:
// segments ascend in id and in index; only the last is open, and it always is,
// unless there is none; every index from floor+1 to the end lies in a segment.
type manifest struct {
	next     uint64 // the lowest id that no listed file has had
	floor    uint64 // the log begins at floor+1; entries up to it are truncated
	segments []record
	retired  []uint64
}

func (m *manifest) clone() *manifest {
	return &manifest{next: m.next, floor: m.floor, segments: slices.Clone(m.segments), retired: slices.Clone(m.retired)}
}

func (m *manifest) encode() []byte {
	b := make([]byte, 0, manifestHeader+recordBytes*len(m.segments)+8*len(m.retired))
	b = binary.LittleEndian.AppendUint64(b, m.next)
	b = binary.LittleEndian.AppendUint64(b, m.floor)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.segments)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.retired)))
	for _, r := range m.segments {
		for _, v := range [4]uint64{r.id, r.salt, r.base, r.last} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	for _, id := range m.retired {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	return b
}

func decodeManifest(b []byte) (*manifest, error) {
	if len(b) < manifestHeader {
		return nil, fmt.Errorf("%w: a manifest of %d bytes", ErrCorrupt, len(b))
	}
	m := &manifest{next: binary.LittleEndian.Uint64(b), floor: binary.LittleEndian.Uint64(b[8:])}
	segments, retired := uint64(binary.LittleEndian.Uint32(b[16:])), uint64(binary.LittleEndian.Uint32(b[20:]))
	if uint64(len(b)) != manifestHeader+recordBytes*segments+8*retired {
		return nil, fmt.Errorf("%w: a manifest of %d segments and %d retired in %d bytes", ErrCorrupt, segments, retired, len(b))
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[manifestHeader+8*i:]) }
	for i := range int(segments) {
		m.segments = append(m.segments, record{
			origin: origin{id: word(4 * i), salt: word(4*i + 1)}, base: word(4*i + 2), last: word(4*i + 3),
		})
	}
	for i := range int(retired) {
		m.retired = append(m.retired, word(4*int(segments)+i))
	}
	return m, m.validate()
}

// validate returns ErrCorrupt if an invariant of manifest does not hold.
func (m *manifest) validate() error {
	if m.next == 0 || m.floor >= maxIndex {
		return fmt.Errorf("%w: a manifest with next id %d, floor %d", ErrCorrupt, m.next, m.floor)
	}
	var id, last uint64
	for i, r := range m.segments {
		open := i == len(m.segments)-1
		if r.id <= id || r.id >= m.next || r.salt == 0 || r.base <= last || r.base >= maxIndex ||
			(r.last == 0) != open || !open && (r.last < r.base || r.last >= maxIndex) {
			return fmt.Errorf("%w: the manifest lists segment %d with entries %d to %d behind segment %d, which ends at %d",
				ErrCorrupt, r.id, r.base, r.last, id, last)
		}
		if r.base > last+1 && r.base > m.floor+1 {
			return fmt.Errorf("%w: the manifest has no segment for entries %d to %d", ErrCorrupt, last+1, r.base-1)
		}
		id, last = r.id, r.last
	}
	for i, id := range m.retired {
		if id == 0 || id >= m.next || i > 0 && id <= m.retired[i-1] ||
			slices.ContainsFunc(m.segments, func(r record) bool { return r.id == id }) {
			return fmt.Errorf("%w: the manifest retires segment %d wrongly", ErrCorrupt, id)
		}
	}
	return nil
}

// retire lists id for unlinking.
func (m *manifest) retire(id uint64) {
	if i, found := slices.BinarySearch(m.retired, id); !found {
		m.retired = slices.Insert(m.retired, i, id)
	}
}

// forget drops retired ids whose files are durably gone.
func (m *manifest) forget(gone []uint64) {
	m.retired = slices.DeleteFunc(m.retired, func(id uint64) bool { return slices.Contains(gone, id) })
}

// cut ends the log at keep: every segment is sealed there or earlier, and what
// holds nothing else is retired. A new open segment must be added after it.
func (m *manifest) cut(keep uint64) {
	m.segments = slices.DeleteFunc(m.segments, func(r record) bool {
		if r.base > keep {
			m.retire(r.id)
			return true
		}
		return false
	})
	if n := len(m.segments); n > 0 {
		r := &m.segments[n-1]
		if r.last == 0 || r.last > keep {
			r.last = keep
		}
	}
}

// add lists a new open segment.
func (m *manifest) add(r record) {
	m.segments = append(m.segments, r)
	m.next = max(m.next, r.id+1)
}

// release retires the sealed segments that are wholly below the floor and
// archived. It tells whether there were any.
func (m *manifest) release(archived uint64) bool {
	limit, before := min(m.floor, archived), len(m.segments)
	if sabotage.On(sabotage.X50) {
		limit = m.floor
	}
	m.segments = slices.DeleteFunc(m.segments, func(r record) bool {
		if r.last != 0 && r.last <= limit {
			m.retire(r.id)
			return true
		}
		return false
	})
	return len(m.segments) != before
}
