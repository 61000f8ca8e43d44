package erasure

import (
	"cmp"
	"fmt"
	"slices"

	"ironman/sim/sabotage"
)

// Disk is a disk as the placement sees it.
type Disk struct {
	Number uint32 // given by the cluster; never 0
	Node   uint32
	Live   bool // a hint: a disk that is not takes no new shards
}

// Geometry is how a blob is coded: k data shards, m parity shards, and the bytes
// of a full cell.
type Geometry struct {
	K, M, Cell uint32
}

// Policy is what an operator may decide about geometry. The zero value is the
// default.
type Policy struct {
	// SmallBlob: a blob of at most this many bytes is kept in m+1 copies. Half
	// the fsyncs of a coded one, and any copy answers a read. 0: 32 KiB.
	SmallBlob uint64
	// Cell is the bytes of a full cell. 0: DefaultCell.
	Cell uint32
	// MinTolerance is how many disks must be expendable for a blob to be
	// accepted. 0: as many as the whole topology gives, so that no write is
	// accepted with less than was promised. An operator who sets it lower
	// prefers accepting writes on a degraded cluster; then the loss of a whole
	// node is no longer promised for what was written degraded.
	MinTolerance uint32
}

// DefaultSmallBlob is the size up to which a blob is kept in copies.
const DefaultSmallBlob = 32 << 10

func (p Policy) withDefaults() Policy {
	if p.SmallBlob == 0 {
		p.SmallBlob = DefaultSmallBlob
	}
	if p.Cell == 0 {
		p.Cell = DefaultCell
	}
	return p
}

// maxData bounds k: with more, a read waits for more disks than it gains from.
const maxData = 8

// parity is how many lost disks a cluster of n disks is to survive:
//
//	disks    m   geometry  why
//	1        0   1+0       nothing to lose a copy to; said openly
//	2        1   1+1       mirror
//	3        1   2+1       3 nodes of 1: any node
//	4..7     2   2+2..5+2  2 disks, or a node of 2 (3 x 2: 4+2); one disk of
//	                       margin while another is being healed
//	8..11    3   5+3..8+3  more disks fail more often
//	12..     4   8+4       4 x 4, 3 x 4: a whole node of 4; k no more than 8
func parity(n int) int {
	switch {
	case n < 2:
		return 0
	case n < 4:
		return 1
	case n < 8:
		return 2
	case n < 12:
		return 3
	}
	return 4
}

// Choose returns the geometry of a blob of size bytes (UnknownSize: large), and
// the number of the disk of each of its k+m shards, by shard index. It is pure:
// equal arguments give equal results, and a running seed spreads the load over
// all disks and the parity over all nodes.
//
// What it returns survives the loss of any m disks and, where the topology has
// three nodes or more, of any one whole node (no node has more than m shards).
// When disks are not live it keeps m and takes a smaller k; when even k = 1 does
// not fit it takes a smaller m down to the policy's minimum, and then fails with
// ErrTolerance.
func Choose(topology []Disk, size, seed uint64, p Policy) (Geometry, []uint32, error) {
	p = p.withDefaults()
	if p.Cell > MaxCell {
		return Geometry{}, nil, fmt.Errorf("%w: cell = %d", ErrInvalid, p.Cell)
	}
	all, living, err := group(topology)
	if err != nil {
		return Geometry{}, nil, err
	}
	nodeRule := len(all) >= 3
	k, m := promise(all, nodeRule)
	least := m
	if p.MinTolerance != 0 {
		least = int(p.MinTolerance)
	}
	for ; m >= least; m-- {
		fit := min(k, widest(living, m, nodeRule))
		if fit < 1 {
			continue
		}
		if size <= p.SmallBlob {
			fit = 1
		}
		g := Geometry{K: uint32(fit), M: uint32(m), Cell: p.Cell}
		return g, place(living, fit+m, limit(m, nodeRule), seed), nil
	}
	return Geometry{}, nil, fmt.Errorf("%w: %d of %d disks are live, tolerance %d is asked",
		ErrTolerance, count(living), count(all), least)
}

// node is the disks of one node, ascending.
type node struct {
	number uint32
	disks  []uint32
}

// group sorts a topology into its nodes, all of them and the living part.
func group(topology []Disk) (all, living []node, err error) {
	sorted := slices.SortedFunc(slices.Values(topology), func(a, b Disk) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Number, b.Number))
	})
	seen := make(map[uint32]bool, len(sorted))
	for _, d := range sorted {
		if d.Number == 0 || seen[d.Number] {
			return nil, nil, fmt.Errorf("%w: disk number %d is zero or taken", ErrInvalid, d.Number)
		}
		seen[d.Number] = true
		all = add(all, d)
		if d.Live {
			living = add(living, d)
		}
	}
	return all, living, nil
}

// add appends a disk to the last node, or begins a new one.
func add(nodes []node, d Disk) []node {
	if len(nodes) == 0 || nodes[len(nodes)-1].number != d.Node {
		nodes = append(nodes, node{number: d.Node})
	}
	last := &nodes[len(nodes)-1]
	last.disks = append(last.disks, d.Number)
	return nodes
}

func count(nodes []node) (n int) {
	for _, nd := range nodes {
		n += len(nd.disks)
	}
	return n
}

// promise is the geometry of the topology with every disk alive: the largest m
// of the table above that leaves at least as many data shards as parity shards
// (an uneven cluster cannot use all its disks under the node rule).
func promise(all []node, nodeRule bool) (k, m int) {
	for m = parity(count(all)); m > 0; m-- {
		if k = widest(all, m, nodeRule); k >= m {
			return k, m
		}
	}
	return min(1, count(all)), 0
}

// limit is how many shards of a blob one node may have.
func limit(m int, nodeRule bool) int {
	if nodeRule && !sabotage.On(sabotage.X32) {
		return m
	}
	return MaxShards
}

// widest is the largest k that fits beside m parity shards; below 1 if none does.
func widest(nodes []node, m int, nodeRule bool) int {
	slots := 0
	for _, nd := range nodes {
		slots += min(len(nd.disks), limit(m, nodeRule))
	}
	return min(slots-m, maxData)
}

// place deals n shards to the nodes in turn, one disk each, beginning at a node
// and a disk that the seed turns. There is room for n: widest says so.
func place(nodes []node, n, limit int, seed uint64) []uint32 {
	placed := make([]uint32, 0, n)
	turn := uint64(len(nodes))
	first, disk := seed%turn, seed/turn
	for round := 0; len(placed) < n; round++ {
		for i := uint64(0); i < turn && len(placed) < n; i++ {
			disks := nodes[(first+i)%turn].disks
			if round < min(len(disks), limit) {
				at := (disk%uint64(len(disks)) + uint64(round)) % uint64(len(disks))
				placed = append(placed, disks[at])
			}
		}
	}
	return placed
}

// spares returns the live disks that can best take the place of a lost one: not
// used, and on the nodes that hold the fewest of the kept shards; fewer than m
// where the node rule is on.
func spares(topology []Disk, kept []uint32, used map[uint32]bool, m int) ([]uint32, error) {
	all, living, err := group(topology)
	if err != nil {
		return nil, err
	}
	held := make(map[uint32]int)
	for _, d := range topology {
		if slices.Contains(kept, d.Number) {
			held[d.Node]++
		}
	}
	var out []uint32
	fewest := limit(m, len(all) >= 3) - 1
	for _, nd := range living {
		for _, d := range nd.disks {
			if n := held[nd.number]; !used[d] && n <= fewest {
				if n < fewest {
					out, fewest = out[:0], n
				}
				out = append(out, d)
			}
		}
	}
	return out, nil
}
