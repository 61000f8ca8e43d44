package fsm

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pgregory.net/rapid"

	"ironman/wal/event"
)

const (
	alice = "a11ce00000000000000000000000000000000000000000000000000000000001"
	bob   = "b0b0000000000000000000000000000000000000000000000000000000000002"
)

// memory opens a machine, in memory unless the options say where.
func memory(t rapid.TB, o Options) *Machine {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	if o.Dir == "" {
		o.Dir = "state"
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sample is n, or fewer where tests are to be short.
func sample(n, fewer int) int {
	if testing.Short() {
		return fewer
	}
	return n
}

// rig is a machine on a file system in memory, and what feeds it.
type rig struct {
	t testing.TB
	*Machine
	options Options
	level   uint32 // to which genesis raises the cluster
	index   uint64 // of the last entry made
	stamp   int64  // of the next entry, ns
	id      uint64 // of the next request
	counter uint64 // of the next blob
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	return &rig{t: t, options: o, level: 1, Machine: memory(t, o), stamp: 1_800_000_000e9}
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// header is that of a fresh request.
func (r *rig) header() *event.Header {
	r.id++
	id := binary.BigEndian.AppendUint64(make([]byte, 8), r.id)
	return &event.Header{FeatureLevel: r.level, RequestId: id, Principal: "test", Base: r.Applied().Next}
}

// entry makes the next entry of the log, a second after the one before.
func (r *rig) entry(d *event.Draft) Entry {
	r.t.Helper()
	b, err := d.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	r.stamp += 1e9
	r.index++
	return Entry{Index: r.index, Term: 1, Data: event.AppendEntry(nil, r.stamp, b)}
}

// propose applies one event.
func (r *rig) propose(d *event.Draft) Result {
	r.t.Helper()
	return r.Apply([]Entry{r.entry(d)})[0]
}

// accept applies one event that must be accepted.
func (r *rig) accept(d *event.Draft) *event.Outcome {
	r.t.Helper()
	o := r.propose(d).Outcome
	if o.Refusal != event.Refusal_REFUSAL_NONE {
		r.t.Fatalf("refused: %s", o.Refusal)
	}
	return o
}

func (r *rig) view() *View {
	r.t.Helper()
	v, err := r.View()
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// genesis makes a cluster of three nodes with two disks each (node n has the disks
// 2n-1 and 2n), and a bucket, whose id it returns.
func (r *rig) genesis(retention int64) (bucket uint64) { return r.genesisOf(retention, r.level) }

// genesisOf is genesis with nodes that support a feature level, which may be above the
// cluster's.
func (r *rig) genesisOf(retention int64, supported uint32) (bucket uint64) {
	r.t.Helper()
	level := r.level
	r.level = 1
	r.accept(event.NewDraft(r.header(), &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{
		ClusterId: make([]byte, 16), FeatureLevel: r.level, HistoryRetention: retention, ReleaseGrace: 60e9,
	}}))
	for n := uint32(1); n <= 3; n++ {
		r.accept(event.NewDraft(r.header(), &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{
			Node: n, PublicKey: []byte{byte(n)}, Boot: 1, FeatureLevel: supported,
		}}))
	}
	for d := uint32(1); d <= 6; d++ {
		id := make([]byte, 16)
		id[0] = byte(d)
		r.accept(event.NewDraft(r.header(), &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{DiskId: id, Node: (d + 1) / 2, Slot: d}}))
	}
	if r.level = level; level > 1 {
		r.raise(level)
	}
	return r.accept(event.NewDraft(r.header(), &event.Statement_BucketCreated{BucketCreated: &event.BucketCreated{
		Owner: alice, Acl: private(alice),
	}}).AddText(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0, "bucket")).Allocated
}

// raise raises the cluster to a feature level.
func (r *rig) raise(level uint32) {
	r.t.Helper()
	h := r.header()
	h.FeatureLevel = 1
	r.accept(event.NewDraft(h, &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: level}}))
}

func private(owner string) *event.ACL {
	return &event.ACL{Owner: owner, Grants: []*event.Grant{{Grantee: owner, Permission: event.Permission_PERMISSION_FULL_CONTROL}}}
}

// blob is a new one of 4+2 shards over the six disks of genesis.
func (r *rig) blob(size uint64) *event.Blob {
	r.counter++
	b := &event.Blob{Id: &event.BlobID{Incarnation: 1, Counter: r.counter}, Size: size, K: 4, M: 2, Cell: 128 << 10, Tolerance: 2}
	for d := uint32(1); d <= 6; d++ {
		b.Shards = append(b.Shards, &event.Shard{Disk: d, Pack: &event.PackID{Incarnation: uint64(d+1) / 2, Counter: 1}, Offset: r.counter << 12, Generation: 1})
	}
	return b
}

// put is an ObjectPut of a new blob; of nothing if size is 0.
func (r *rig) put(bucket uint64, name string, size uint64) *event.Draft {
	p := &event.ObjectPut{Bucket: bucket, Size: size, Etag: fmt.Sprintf("etag-%d", r.counter), Owner: alice, Acl: private(alice)}
	if size > 0 {
		p.Blobs = []*event.Blob{r.blob(size)}
	}
	return event.NewDraft(r.header(), &event.Statement_ObjectPut{ObjectPut: p}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, name)
}

// small makes Pebble flush and compact all the time.
func small(o *pebble.Options) {
	o.MemTableSize = 64 << 10
	o.L0CompactionThreshold = 2
}
