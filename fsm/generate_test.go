package fsm

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"ironman/wal/event"
)

// chooser draws numbers below n: a rapid test, or a seeded generator.
type chooser func(n int) int

func rapidly(t *rapid.T) chooser {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
}

func seeded(seed uint64) chooser { return rand.New(rand.NewPCG(seed, 1)).IntN }

// generator draws events that mostly make sense to a model, and sometimes do not.
type generator struct {
	choose chooser
	m      *model
	level  uint32   // of the cluster at its beginning
	keys   []string // to choose from; nil: those that make trouble
	ids    uint64
	blobs  uint64
}

func (g *generator) one(of ...string) string { return of[g.choose(len(of))] }

func (g *generator) odds(n int) bool { return g.choose(n) == 0 }

func pick[K comparable, V any](g *generator, m map[K]V, order func(K) string) (K, bool) {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int { return strings.Compare(order(a), order(b)) })
	if len(keys) == 0 {
		var zero K
		return zero, false
	}
	return keys[g.choose(len(keys))], true
}

func number(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// key is one of few, with everything that makes trouble.
func (g *generator) key() string {
	if g.keys != nil {
		return g.one(g.keys...)
	}
	return g.one("a", "a/", "a/b", "a/c", "a/b/c", "b//", "b/c", "ab", "a\x00b", "a\x00", "\x00", "é/x", "\xff", "\xff\xff/", "a\xff", "zz", "zz/\x01", "b\x01/")
}

func (g *generator) owner() string { return g.one(alice, bob) }

func (g *generator) acl(owner string) *event.ACL {
	a := private(owner)
	if g.odds(3) {
		a.Grants = append(a.Grants, &event.Grant{Group: event.Group_GROUP_ALL_USERS, Permission: event.Permission(1 + g.choose(5))})
	}
	return a
}

func (g *generator) bucket() uint64 {
	if id, ok := pick(g, g.m.buckets, number); ok && !g.odds(40) {
		return id
	}
	return uint64(g.choose(20))
}

// object is the place of one that is there, if possible.
func (g *generator) object() objectPlace {
	at, ok := pick(g, g.m.objects, func(p objectPlace) string { return number(p.bucket) + p.name })
	if !ok || g.odds(10) {
		return objectPlace{g.bucket(), g.key()}
	}
	return at
}

func (g *generator) version(at objectPlace) *event.Version {
	if o, ok := g.m.objects[at]; ok && !g.odds(10) {
		return o.row.Version
	}
	return &event.Version{Seq: uint64(g.choose(50))}
}

// shard is a place in a pack that takes shards, mostly.
func (g *generator) shard(disk uint32, generation uint32) *event.Shard {
	d := g.m.disks[disk]
	if d == nil || g.odds(100) {
		return &event.Shard{Disk: disk, Pack: &event.PackID{Incarnation: uint64(g.choose(30)), Counter: 1}, Generation: generation}
	}
	pack := &event.PackID{Incarnation: g.m.nodes[d.Node].Incarnation, Counter: uint64(1 + g.choose(3))}
	return &event.Shard{Disk: disk, Pack: pack, Offset: uint64(g.choose(1 << 20)), Generation: generation}
}

// disk is one of a node that is not removed, mostly.
func (g *generator) disk() uint32 {
	of := maps.Clone(g.m.disks)
	maps.DeleteFunc(of, func(_ uint32, d *Disk) bool { return g.m.nodes[d.Node].Removed })
	if d, ok := pick(g, of, func(d uint32) string { return number(uint64(d)) }); ok && !g.odds(20) {
		return d
	}
	return uint32(1 + g.choose(max(1, len(g.m.disks))))
}

// node is one that is not removed, mostly.
func (g *generator) node() uint32 {
	of := maps.Clone(g.m.nodes)
	maps.DeleteFunc(of, func(_ uint32, n *Node) bool { return n.Removed })
	if n, ok := pick(g, of, func(n uint32) string { return number(uint64(n)) }); ok && !g.odds(4) {
		return n
	}
	return uint32(g.choose(4))
}

func (g *generator) blob() *event.Blob {
	inc, _ := pick(g, g.m.incarnations, number)
	g.blobs++
	b := &event.Blob{Id: &event.BlobID{Incarnation: inc, Counter: g.blobs}, Size: uint64(1 + g.choose(1000)), K: uint32(1 + g.choose(2)), M: uint32(g.choose(3)), Cell: 64}
	switch g.choose(60) {
	case 0:
		b.Id.Counter = uint64(1 + g.choose(int(g.blobs))) // maybe known or abandoned
	case 1:
		b.Id.Incarnation = uint64(g.choose(30))
	case 2:
		b.Size = 0
	case 3:
		b.K, b.M = 1<<32-1, 2 // wraps to one shard
	case 4:
		b.Tolerance = 7
	case 5:
		b.Size = 1<<43 + 1
	}
	for range min(b.K+b.M, 10) {
		b.Shards = append(b.Shards, g.shard(g.disk(), 1))
	}
	if b.M < 10 && b.M > 0 && g.odds(4) {
		b.Shards[g.choose(len(b.Shards))] = &event.Shard{}
	} else if b.Tolerance == 0 {
		b.Tolerance = uint32(g.choose(int(min(b.M, 2)) + 1))
	}
	return b
}

// segment is a range of a blob that is there, mostly.
func (g *generator) segment() *event.Segment {
	k, ok := pick(g, g.m.blobs, func(k [16]byte) string { return string(k[:]) })
	if !ok || g.odds(30) {
		return &event.Segment{Blob: &event.BlobID{Incarnation: 1, Counter: uint64(g.choose(100))}, Length: 1}
	}
	size := int(g.m.blobs[k].blob.Size)
	offset := g.choose(size)
	s := &event.Segment{Blob: event.BlobIDFromKey(k), Offset: uint64(offset), Length: uint64(1 + g.choose(size-offset))}
	switch g.choose(60) {
	case 0:
		s.Length = 0
	case 1:
		s.Offset = 1<<64 - 1
	case 2:
		s.Length = uint64(size + 1)
	}
	return s
}

func (g *generator) condition(at objectPlace) *event.Condition {
	o := g.m.objects[at].row
	size, seconds := uint64(g.choose(2)), int64(0)
	if o != nil && !g.odds(3) {
		size, seconds = o.Size, o.Time/1e9
	}
	switch g.choose(12) {
	case 0:
		return &event.Condition{IfAbsent: true}
	case 1:
		return &event.Condition{IfMatch: []string{"other", strings.ToUpper(o.GetEtag())}}
	case 2:
		return &event.Condition{IfMatch: []string{"*"}}
	case 3:
		return &event.Condition{IfNoneMatch: []string{g.one("*", "e1", "e2")}}
	case 4:
		return &event.Condition{IfSize: &size}
	case 5:
		return &event.Condition{IfModifiedTime: &seconds}
	}
	return nil
}

// request is a header; some ids come again, some bases are old or from the future.
func (g *generator) request() *event.Header {
	g.ids++
	h := &event.Header{FeatureLevel: 1, Principal: "p", Base: g.m.seq - min(g.m.seq, uint64(g.choose(3)))}
	id := g.ids
	switch g.choose(40) {
	case 0:
		id = uint64(1 + g.choose(int(g.ids)))
	case 1:
		h.Base = uint64(g.choose(int(g.m.seq) + 1))
	case 2:
		h.Base = g.m.seq + 1 + uint64(g.choose(2))*(1<<64-1-g.m.seq-1)
	case 3:
		h.FeatureLevel = uint32(3 + g.choose(2))
	}
	if g.odds(2) {
		h.FeatureLevel = max(h.FeatureLevel, g.m.cluster.GetFeatureLevel())
	}
	h.RequestId = id16(id)
	return h
}

func id16(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8), n) }
