package server

import (
	"bytes"
	"context"
	"io"
	"time"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/s3api"
	"ironman/server/backup"
	"ironman/wal/event"
)

// ProposeForTest proposes an event of the store's own, such as no operation of this
// release makes, and returns how it was judged.
func (n *Node) ProposeForTest(ctx context.Context, d *event.Draft) (*event.Outcome, error) {
	a, err := n.proposeSystem(ctx, d)
	return a.Outcome, err
}

// IdentityForTest gives the node's public key, as events have it, and its boot counter.
func (n *Node) IdentityForTest() (key []byte, boot uint64, err error) {
	key, err = n.identity.publicKey()
	return key, n.identity.Boot, err
}

// ResolveForTest settles a request whose outcome is unknown.
func (n *Node) ResolveForTest(ctx context.Context, h *event.Header) (*event.Outcome, error) {
	a, err := n.resolve(ctx, h)
	return a.Outcome, err
}

// PackPassesForTest is a collector of a disk's packs that makes a pass when asked.
func (n *Node) PackPassesForTest(disk uint32, patience time.Duration) (pass, forget func(context.Context) error) {
	c := newPackCollector(n, disk)
	c.patience = patience
	return c.pass, c.forget
}

// PacksForTest counts the packs on a disk, and the rows of released ones.
func (n *Node) PacksForTest(disk uint32) (files, released int, err error) {
	packs, err := n.blobs.Packs(disk)
	if err != nil {
		return 0, 0, err
	}
	v, err := n.machine.View()
	if err != nil {
		return 0, 0, err
	}
	defer v.Close()
	rows, err := v.Packs(disk)
	for _, p := range rows {
		if p.Row.Released {
			released++
		}
	}
	return len(packs), released, err
}

// OpenPacksForTest counts the packs on a disk to which something is being written.
func (n *Node) OpenPacksForTest(disk uint32) (open int, err error) {
	packs, err := n.blobs.Packs(disk)
	for _, p := range packs {
		if !p.Sealed {
			open++
		}
	}
	return open, err
}

// LiveShardsForTest counts the shards on a disk that blobs name.
func (n *Node) LiveShardsForTest(disk uint32) (live uint64, err error) {
	v, err := n.machine.View()
	if err != nil {
		return 0, err
	}
	defer v.Close()
	rows, err := v.Packs(disk)
	for _, p := range rows {
		live += p.Row.LiveShards
	}
	return live, err
}

// CollectForTest does once what the collector does every second.
func (n *Node) CollectForTest(ctx context.Context) {
	n.proposeAbandoned(ctx)
	n.collectShared(ctx)
}

// PackCollectorForTest is a collector of a disk's packs whose passes are in two steps,
// so that events may come between what it sees and what it does.
type PackCollectorForTest struct {
	c    *packCollector
	seen []*event.PackID
}

func (n *Node) PackCollectorForTest(disk uint32) *PackCollectorForTest {
	return &PackCollectorForTest{c: newPackCollector(n, disk)}
}

// Look finds the packs that may go.
func (p *PackCollectorForTest) Look() (err error) {
	p.seen, err = p.c.empty()
	return err
}

// Act releases and unlinks those, and waits so long for who reads them.
func (p *PackCollectorForTest) Act(ctx context.Context, patience time.Duration) error {
	seen := p.seen
	p.seen, p.c.patience = nil, patience
	return p.c.release(ctx, seen)
}

// Forget drops the rows of packs that an older incarnation made.
func (p *PackCollectorForTest) Forget(ctx context.Context) error { return p.c.forget(ctx) }

// StageForTest stores the bytes of an object that no event names yet.
func (n *Node) StageForTest(ctx context.Context, body []byte) (*event.Blob, error) {
	return n.blobs.Put(ctx, bytes.NewReader(body), int64(len(body)), erasure.PutOptions{})
}

// CommitForTest proposes the event that names a blob: it may come late.
func (n *Node) CommitForTest(ctx context.Context, bucket, key, etag string, blob *event.Blob) (event.Refusal, error) {
	v, err := n.machine.View()
	if err != nil {
		return 0, err
	}
	defer v.Close()
	b, err := v.BucketByName(bucket)
	if err != nil {
		return 0, err
	}
	owner := b.Owner
	a, err := n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{
		Bucket: b.Bucket, Blobs: []*event.Blob{blob}, Size: blob.Size, Etag: etag, Owner: owner,
		Acl: &event.ACL{Owner: owner, Grants: []*event.Grant{{Grantee: owner, Permission: event.Permission_PERMISSION_FULL_CONTROL}}},
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, key))
	return a.Outcome.GetRefusal(), err
}

// AbandonForTest gives a staged blob up: the collector is to fence it.
func (n *Node) AbandonForTest(blob *event.Blob) { n.blobs.Abandon(blob.Id) }

// OpenBlobForTest reads a blob where it was stored, whatever names it now.
func (n *Node) OpenBlobForTest(ctx context.Context, blob *event.Blob) (io.ReadCloser, error) {
	return n.blobs.Open(ctx, blob, 0, blob.Size)
}

// BlobsForTest are the blobs that the state knows, by id.
func (n *Node) BlobsForTest() (all []*event.Blob, err error) {
	v, err := n.machine.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	err = v.Blobs(func(b *event.Blob) error { all = append(all, b); return nil })
	return all, err
}

// OpenPackFilesForTest names the packs of a disk to which something may be written.
func (n *Node) OpenPackFilesForTest(disk uint32) (files map[string]bool, err error) {
	packs, err := n.blobs.Packs(disk)
	files = make(map[string]bool)
	for _, p := range packs {
		if !p.Sealed {
			files[p.Pack.String()+".pack"] = true
		}
	}
	return files, err
}

// ViewForTest shows the state as it is. It must be closed.
func (n *Node) ViewForTest() (*fsm.View, error) { return n.machine.View() }

// BucketFeedForTest is the feed of buckets without the front.
func (n *Node) BucketFeedForTest() s3api.Feed { return bucketFeed{n} }

// PaceChangesForTest sets how long a reader of the change feed may take nothing, and when
// a stream says that it is there, and how far it has come. To be called before any reads.
func (n *Node) PaceChangesForTest(stall, heartbeat, progress time.Duration) {
	n.changes.stall, n.changes.heartbeat, n.changes.progress = stall, heartbeat, progress
}

// BeginBackupForTest begins a run for a target that holds nothing.
func (n *Node) BeginBackupForTest(ctx context.Context) (*backup.Run, error) {
	return n.BeginBackup(ctx, knownPoint{})
}

// BackupUsersForTest counts the requests of a run that are under way.
func (n *Node) BackupUsersForTest(run string) int {
	n.backups.mu.Lock()
	defer n.backups.mu.Unlock()
	if r := n.backups.runs[run]; r != nil {
		return r.users
	}
	return 0
}

// BackupBodiesForTest sets how long the body of a request may stand still, before there are any.
func (n *Node) BackupBodiesForTest(idle time.Duration) {
	n.backups.mu.Lock()
	defer n.backups.mu.Unlock()
	n.backups.bodyIdle = idle
}
