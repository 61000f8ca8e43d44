package erasure

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cluster makes a topology of nodes with so many disks each, all alive.
func cluster(nodes ...int) (out []Disk) {
	for i, d := range nodes {
		for range d {
			out = append(out, Disk{Number: uint32(len(out) + 1), Node: uint32(i + 1), Live: true})
		}
	}
	return out
}

// without takes disks out of service.
func without(topology []Disk, dead ...uint32) []Disk {
	out := slices.Clone(topology)
	for i := range out {
		if slices.Contains(dead, out[i].Number) {
			out[i].Live = false
		}
	}
	return out
}

func TestChooseTable(t *testing.T) {
	for _, c := range []struct {
		nodes []int
		dead  []uint32
		least uint32
		want  string // of a large blob
	}{
		{nodes: []int{1}, want: "1+0"},
		{nodes: []int{2}, want: "1+1"},
		{nodes: []int{1, 1}, want: "1+1"},
		{nodes: []int{3}, want: "2+1"},
		{nodes: []int{1, 1, 1}, want: "2+1"},
		{nodes: []int{4}, want: "2+2"},
		{nodes: []int{2, 2}, want: "2+2"},
		{nodes: []int{1, 1, 1, 1}, want: "2+2"},
		{nodes: []int{5}, want: "3+2"},
		{nodes: []int{6}, want: "4+2"},
		{nodes: []int{2, 2, 2}, want: "4+2"},
		{nodes: []int{7}, want: "5+2"},
		{nodes: []int{8}, want: "5+3"},
		{nodes: []int{3, 3, 3}, want: "6+3"},
		{nodes: []int{12}, want: "8+4"},
		{nodes: []int{4, 4, 4}, want: "8+4"},
		{nodes: []int{4, 4, 4, 4}, want: "8+4"},
		{nodes: []int{6, 6, 6}, want: "8+4"},
		// Uneven: one node may not hold more than m.
		{nodes: []int{4, 1, 1}, want: "2+2"},
		{nodes: []int{10, 1, 1}, want: "2+2"},
		// Degraded: the same tolerance over fewer disks.
		{nodes: []int{2, 2, 2}, dead: []uint32{1}, want: "3+2"},
		{nodes: []int{2, 2, 2}, dead: []uint32{1, 2}, want: "2+2"},
		{nodes: []int{2, 2, 2}, dead: []uint32{1, 3}, want: "2+2"},
		{nodes: []int{2, 2, 2}, dead: []uint32{1, 2, 3}, want: "1+2"},
		{nodes: []int{2, 2, 2}, dead: []uint32{1, 2, 3, 4}, want: "error"},
		{nodes: []int{2, 2, 2}, dead: []uint32{1, 2, 3, 5}, least: 1, want: "1+1"},
		// Both living disks on one node: its loss would lose both copies.
		{nodes: []int{2, 2, 2}, dead: []uint32{1, 2, 3, 4}, least: 1, want: "error"},
		{nodes: []int{1, 1, 1}, dead: []uint32{2}, want: "1+1"},
		{nodes: []int{1, 1, 1}, dead: []uint32{2, 3}, want: "error"},
		{nodes: []int{4, 4, 4, 4}, dead: []uint32{1, 2, 3, 4}, want: "8+4"},
		{nodes: []int{4, 4, 4, 4}, dead: []uint32{1, 2, 3, 4, 5, 6, 7, 8}, want: "4+4"},
		{nodes: []int{6}, dead: []uint32{6}, want: "3+2"},
		{nodes: []int{6}, dead: []uint32{4, 5, 6}, want: "1+2"},
		{nodes: []int{6}, dead: []uint32{3, 4, 5, 6}, want: "error"},
		{nodes: []int{1}, least: 1, want: "error"},
		{nodes: []int{1}, dead: []uint32{1}, want: "error"},
		{nodes: nil, want: "error"},
	} {
		topology := without(cluster(c.nodes...), c.dead...)
		g, _, err := Choose(topology, UnknownSize, 7, Policy{MinTolerance: c.least})
		got := fmt.Sprintf("%d+%d", g.K, g.M)
		if err != nil {
			got = "error"
			if !errors.Is(err, ErrTolerance) {
				t.Errorf("%v: %v", c.nodes, err)
			}
		}
		if got != c.want {
			t.Errorf("nodes %v without %v: %s, want %s (%v)", c.nodes, c.dead, got, c.want, err)
		}
	}
}

func TestChooseRefusesBadTopology(t *testing.T) {
	for _, topology := range [][]Disk{
		{{Number: 0, Node: 1, Live: true}},
		{{Number: 1, Node: 1, Live: true}, {Number: 1, Node: 2, Live: true}},
	} {
		if _, _, err := Choose(topology, 1, 1, Policy{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", topology, err)
		}
	}
}

// Whatever is chosen survives the loss of any m disks and of any one node.
func TestChooseSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.SliceOfN(rapid.IntRange(1, 6), 1, 7).Draw(t, "nodes")
		topology := cluster(nodes...)
		for i := range topology {
			topology[i].Live = rapid.IntRange(0, 4).Draw(t, "live") > 0
		}
		size := rapid.SampledFrom([]uint64{0, 1, DefaultSmallBlob, DefaultSmallBlob + 1, 1 << 30, UnknownSize}).Draw(t, "size")
		seed := rapid.Uint64().Draw(t, "seed")
		full, _, err := Choose(cluster(nodes...), size, seed, Policy{})
		if err != nil {
			t.Fatalf("all alive: %v", err)
		}
		g, disks, err := Choose(topology, size, seed, Policy{})
		if errors.Is(err, ErrTolerance) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if g.M != full.M || len(disks) != int(g.K+g.M) || g.K < 1 || g.K > full.K {
			t.Fatalf("%+v over %v, full %+v", g, disks, full)
		}
		if size <= DefaultSmallBlob && g.K != 1 {
			t.Fatalf("small blob in %+v", g)
		}
		perNode := make(map[uint32]uint32)
		for i, n := range disks {
			at := slices.IndexFunc(topology, func(d Disk) bool { return d.Number == n })
			if at < 0 || !topology[at].Live || slices.Contains(disks[:i], n) {
				t.Fatalf("disk %d of %v", n, disks)
			}
			perNode[topology[at].Node]++
		}
		if len(nodes) >= 3 {
			for node, n := range perNode {
				if n > g.M {
					t.Fatalf("node %d holds %d shards of %+v", node, n, g)
				}
			}
			if size <= DefaultSmallBlob && all(topology) && len(perNode) != min(len(nodes), len(disks)) {
				t.Fatalf("copies on %d nodes of %d", len(perNode), len(nodes))
			}
		}
		again, same, err := Choose(topology, size, seed, Policy{})
		if err != nil || again != g || !slices.Equal(same, disks) {
			t.Fatalf("not pure: %v, %v", same, disks)
		}
	})
}

func all(topology []Disk) bool {
	return !slices.ContainsFunc(topology, func(d Disk) bool { return !d.Live })
}

// A run of seeds loads disks of equal nodes equally, with every shard index.
func TestChooseSpreads(t *testing.T) {
	for _, nodes := range [][]int{{2}, {3}, {6}, {1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {4, 4, 4, 4}, {1, 1, 1, 1, 1}} {
		for _, size := range []uint64{1, UnknownSize} {
			topology := cluster(nodes...)
			load := make(map[uint32]int)
			parity := make(map[uint32]int)
			rounds := len(topology) * len(topology) * 12
			var g Geometry
			for seed := range rounds {
				var disks []uint32
				var err error
				if g, disks, err = Choose(topology, size, uint64(seed), Policy{}); err != nil {
					t.Fatal(err)
				}
				for i, d := range disks {
					load[d]++
					if i >= int(g.K) {
						parity[d]++
					}
				}
			}
			want := rounds * int(g.K+g.M) / len(topology)
			for _, d := range topology {
				if got := load[d.Number]; got != want {
					t.Errorf("%v, size %d: disk %d has %d shards of %d", nodes, size, d.Number, got, want)
				}
				if parity[d.Number] == 0 {
					t.Errorf("%v, size %d: disk %d has no parity", nodes, size, d.Number)
				}
			}
		}
	}
}

func TestSparesKeepTheNodeRule(t *testing.T) {
	topology := cluster(3, 3, 3)
	kept := []uint32{1, 2, 4, 5, 7} // two of nodes 1 and 2, one of node 3
	used := map[uint32]bool{1: true, 2: true, 4: true, 5: true, 7: true, 8: true}
	got, err := spares(topology, kept, used, 2)
	if err != nil || !slices.Equal(got, []uint32{9}) {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Layout{K: rapid.Uint32Range(1, 12).Draw(t, "k"), Cell: rapid.Uint32Range(1, 70).Draw(t, "cell")}
		l.Size = rapid.Uint64Range(0, 5000).Draw(t, "size")
		var plain, length uint64 = 0, shardHeaderBytes
		for i := range l.Stripes() {
			if at := l.CellOffset(i); at != length {
				t.Fatalf("cell %d at %d, want %d", i, at, length)
			}
			n := l.PlainLength(i)
			c := uint64(l.CellLength(i))
			if n == 0 || c*uint64(l.K) < n || (c-1)*uint64(l.K) >= n || c > uint64(l.Cell) {
				t.Fatalf("stripe %d of %+v: %d plain bytes in cells of %d", i, l, n, c)
			}
			plain += n
			length += cellHeaderBytes + c
		}
		if plain != l.Size || length != l.ShardLength() {
			t.Fatalf("%+v: %d bytes, shard of %d, want %d", l, plain, length, l.ShardLength())
		}
	})
}
