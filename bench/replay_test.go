package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	pebblewal "github.com/cockroachdb/pebble/v2/wal"

	"ironman/fsm"
	"ironman/server/audit"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// replayed is how many events are replayed at a time.
const replayed = 20_000

// BenchmarkReplay replays a record to a state on disk, as "ironman audit replay" does, and
// writes the very batches that this comes to by Pebble alone. The rate of the first as a
// part of the second's is what a replay costs over storing.
func BenchmarkReplay(b *testing.B) {
	records := recordOf(b, replayed)
	batches := batchesOf(b, records)
	var replay, raw time.Duration
	for b.Loop() {
		replay += timeReplay(b, records)
		raw += timeRaw(b, batches)
	}
	events := float64(len(records) * b.N)
	b.ReportMetric(events/replay.Seconds(), "replayed/s")
	b.ReportMetric(events/raw.Seconds(), "raw/s")
	b.ReportMetric(raw.Seconds()/replay.Seconds(), "replayed/raw")
	b.ReportMetric(0, "ns/op")
}

// timeReplay applies and compares all of a record.
func timeReplay(b *testing.B, records []ledger.Record) time.Duration {
	m := machine(b, fsm.Options{FS: vfs.Default, Dir: b.TempDir()})
	began := time.Now()
	apply(b, m, records)
	if err := m.Flush(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}

func apply(b *testing.B, m *fsm.Machine, records []ledger.Record) {
	p := audit.NewReplayer(m)
	for _, r := range records {
		if err := p.Add(r); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		b.Fatal(err)
	}
}

// timeRaw writes batches, with the options that a state is written with.
func timeRaw(b *testing.B, batches [][]byte) time.Duration {
	o := &pebble.Options{FS: vfs.Default, Logger: quiet{b}}
	machine(b, fsm.Options{FS: vfs.NewMem(), Dir: "/options", Tune: func(of *pebble.Options) {
		o.DisableWAL, o.MemTableSize, o.FormatMajorVersion, o.Levels = of.DisableWAL, of.MemTableSize, of.FormatMajorVersion, of.Levels
		o.L0CompactionThreshold, o.LBaseMaxBytes = of.L0CompactionThreshold, of.LBaseMaxBytes
	}}).Close()
	db, err := pebble.Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for _, repr := range batches { // a batch makes what it is given its own
		batch := db.NewBatch()
		if err := errors.Join(batch.SetRepr(bytes.Clone(repr)), batch.Commit(pebble.NoSync), batch.Close()); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Flush(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}

// quiet is a logger for which only the end of the process is news.
type quiet struct{ b *testing.B }

func (quiet) Infof(string, ...any)             {}
func (q quiet) Errorf(format string, a ...any) { q.b.Errorf(format, a...) }
func (q quiet) Fatalf(format string, a ...any) { q.b.Fatalf(format, a...) }

// batchesOf are the batches that a replay of a record writes: it is done once with a log
// of Pebble's own, which has them.
func batchesOf(b *testing.B, records []ledger.Record) (batches [][]byte) {
	fs := vfs.NewMem()
	m := machine(b, fsm.Options{FS: fs, Dir: "/state", FlushEvery: 1 << 30, Tune: func(o *pebble.Options) { o.DisableWAL, o.MemTableSize = false, 1<<30 }})
	apply(b, m, records)
	logs, err := pebblewal.Scan(pebblewal.Dir{FS: fs, Dirname: "/state"})
	if err != nil {
		b.Fatal(err)
	}
	for _, log := range logs {
		r := log.OpenForRead()
		for {
			rec, _, err := r.NextRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			repr := []byte(nil)
			if err == nil {
				repr, err = io.ReadAll(rec)
			}
			if err != nil {
				b.Fatal(err)
			}
			batches = append(batches, repr)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
	if len(batches) < len(records)/256 {
		b.Fatalf("%d batches of %d events", len(batches), len(records))
	}
	return batches
}

func machine(b *testing.B, o fsm.Options) *fsm.Machine {
	o.Fatal = func(err error) { panic(err) }
	m, err := fsm.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// recordOf is the record of a cluster in which objects are put, overwritten, tagged and
// deleted.
func recordOf(b *testing.B, events int) (records []ledger.Record) {
	m := machine(b, fsm.Options{FS: vfs.NewMem(), Dir: "/state"})
	w := &recording{B: b, m: m, random: rand.New(rand.NewPCG(1, 2))}
	w.genesis()
	for len(w.records) < events {
		w.step()
	}
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
	return w.records
}

type recording struct {
	*testing.B
	m       *fsm.Machine
	random  *rand.Rand
	bucket  uint64
	count   uint64
	records []ledger.Record
}

const recordedOwner = "owner"

func recordedACL() *event.ACL {
	return &event.ACL{Owner: recordedOwner, Grants: []*event.Grant{{Grantee: recordedOwner, Permission: event.Permission_PERMISSION_FULL_CONTROL}}}
}

// genesis makes a cluster of one node with six disks, and a bucket.
func (w *recording) genesis() {
	w.do(event.NewDraft(nil, &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{
		ClusterId: make([]byte, 16), FeatureLevel: event.FeatureLevel, HistoryRetention: int64(24 * time.Hour), ReleaseGrace: int64(15 * time.Minute),
	}}))
	w.do(event.NewDraft(nil, &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: 1, PublicKey: []byte{1}, Boot: 1, FeatureLevel: event.FeatureLevel}}))
	for d := byte(1); d <= 6; d++ {
		w.do(event.NewDraft(nil, &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{DiskId: append(make([]byte, 15), d), Node: 1, Slot: uint32(d)}}))
	}
	w.bucket = w.do(event.NewDraft(nil, &event.Statement_BucketCreated{BucketCreated: &event.BucketCreated{Owner: recordedOwner, Acl: recordedACL()}}).
		AddText(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0, "bucket")).Allocated
}

func (w *recording) step() {
	key := fmt.Sprintf("photos/%d/%06d.jpg", w.random.IntN(100), w.random.IntN(100))
	switch w.random.IntN(10) {
	case 0:
		w.do(event.NewDraft(nil, &event.Statement_ObjectsDeleted{ObjectsDeleted: &event.ObjectsDeleted{Bucket: w.bucket, Targets: []*event.DeleteTarget{{}}}}).
			AddText(event.ItemKind_ITEM_KIND_KEY, 0, key))
	default:
		w.count++
		blob := &event.Blob{Id: &event.BlobID{Incarnation: 1, Counter: w.count}, Size: 1 << 20, K: 4, M: 2, Cell: 128 << 10, Tolerance: 2}
		for d := uint32(1); d <= 6; d++ {
			blob.Shards = append(blob.Shards, &event.Shard{Disk: d, Pack: &event.PackID{Incarnation: 1, Counter: 1}, Offset: w.count << 12, Generation: 1})
		}
		w.do(event.NewDraft(nil, &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{
			Bucket: w.bucket, Blobs: []*event.Blob{blob}, Size: 1 << 20, Etag: fmt.Sprintf("%032x", w.count), Owner: recordedOwner, Acl: recordedACL(),
		}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, key).
			AddMessage(event.ItemKind_ITEM_KIND_CLIENT, 0, &event.Client{Address: "10.0.0.1", UserAgent: "aws-sdk-go-v2/1.41", AccessKey: "AKIAIOSFODNN7EXAMPLE"}))
	}
}

// do applies an event and records it.
func (w *recording) do(d *event.Draft) *event.Outcome {
	seq := w.m.Applied().Next
	d.Statement.Header = &event.Header{
		FeatureLevel: event.FeatureLevel, RequestId: binary.BigEndian.AppendUint64(make([]byte, 8), seq+1), Principal: recordedOwner, Base: seq, Operation: "PutObject", Node: 1,
	}
	proposal, err := d.Marshal()
	if err != nil {
		w.Fatal(err)
	}
	res := w.m.Apply([]fsm.Entry{{Index: seq + 1, Term: 1, Data: event.AppendEntry(nil, 1_800_000_000e9+int64(seq)*1e6, proposal)}})[0]
	leaves, err := w.m.Leaves(seq, 1)
	if err != nil || len(leaves) != 1 || res.Outcome.Refusal != event.Refusal_REFUSAL_NONE {
		w.Fatalf("event %d: %v, %d leaves, %v", seq, err, len(leaves), res.Outcome)
	}
	statement, items := event.Split(proposal)
	w.records = append(w.records, ledger.Record{Seq: seq, Envelope: leaves[0].Envelope, Payload: ledger.Payload{
		Statement: statement, Items: ledger.Present(items), Outcome: event.Canonical(res.Outcome),
	}})
	return res.Outcome
}
