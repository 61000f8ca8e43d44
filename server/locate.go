package server

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"ironman/wal/event"
)

var errNoObject = errors.New("no such object")

// ShardLocation is where one shard of an object lies.
type ShardLocation struct {
	Blob   string `json:"blob"`
	Part   int    `json:"part"` // which blob of the object, from 0
	Index  int    `json:"index"`
	K      uint32 `json:"k"`
	M      uint32 `json:"m"`
	Node   uint32 `json:"node"`
	Disk   uint32 `json:"disk"`
	Slot   uint32 `json:"slot"`   // of the disk in its node, from 0
	Path   string `json:"pack"`   // the file; of another node only its name
	Offset uint64 `json:"offset"` // of the shard's header in the pack, bytes
	Length uint64 `json:"length"` // of header and cells, bytes
}

// Locate tells where every shard of an object lies.
func (n *Node) Locate(bucket, key string) ([]ShardLocation, error) {
	v, err := n.machine.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	b, err := v.BucketByName(bucket)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, fmt.Errorf("%w: no bucket %q", errNoObject, bucket)
	}
	o, err := v.Object(b.Bucket, key)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fmt.Errorf("%w: no key %q in %q", errNoObject, key, bucket)
	}
	segments, _, err := v.Body(o)
	if err != nil {
		return nil, err
	}
	out := []ShardLocation{}
	for i, s := range segments {
		blob, err := v.Blob(s.Blob)
		if err != nil {
			return nil, err
		}
		where, err := n.blobs.Locate(blob)
		if err != nil {
			return nil, err
		}
		for _, l := range where {
			var slot uint32
			if d, ok := n.members.disk(l.Disk); ok {
				slot = d.Slot
			}
			out = append(out, ShardLocation{
				Blob: blobName(s.Blob), Part: i, Index: int(l.Index), K: blob.K, M: blob.M,
				Node: l.Node, Disk: l.Disk, Slot: slot, Path: l.Path, Offset: l.Offset, Length: l.Length,
			})
		}
	}
	return out, nil
}

func blobName(id *event.BlobID) string {
	return fmt.Sprintf("%x-%x", id.GetIncarnation(), id.GetCounter())
}

func (n *Node) locate(w http.ResponseWriter, r *http.Request) {
	where, err := n.Locate(r.URL.Query().Get("bucket"), r.URL.Query().Get("key"))
	if err != nil {
		n.adminError(w, err)
		return
	}
	writeJSON(w, where)
}

// Buffered tells how many bytes of buffers requests hold that write objects, or read
// them. Without any, also once the node is closed, it is nothing.
func (n *Node) Buffered() (writing, reading int64) {
	if n.blobs == nil {
		return 0, 0
	}
	return n.blobs.Buffered()
}

// Status tells where this node stands.
func (n *Node) Status() (*Status, error) {
	a := n.machine.Applied()
	f, err := n.machine.Frontier()
	if err != nil {
		return nil, err
	}
	root := f.Root()
	s := &Status{
		Node: n.identity.Node, Version: Version(), Incarnation: n.incarnation, AppliedIndex: a.Index, Events: a.Next,
		StateDigest: hex.EncodeToString(a.Digest.Bytes()), LedgerRoot: hex.EncodeToString(root[:]), Archived: n.log.Archived(),
	}
	c, err := n.cluster()
	if err != nil {
		return nil, err
	}
	for _, p := range c.GetPastEpochs() {
		s.PastEpochs = append(s.PastEpochs, PastEpoch{p.LedgerOrigin, p.LedgerKey, p.End})
	}
	s.Leader, _ = n.log.Leader()
	s.Ledger = n.ledgerStatus()
	s.Reads = n.readsStatus()
	s.Backups = len(n.backups.list())
	if until := n.holds.held(n.opts.Now()); !until.IsZero() {
		s.PacksHeldUntil = &until
	}
	for _, d := range n.blobs.Disks() {
		disk := DiskStatus{Number: d.Identity.Number, Slot: d.Identity.Slot, Free: d.Free, Low: d.Low}
		if d.Failure != nil {
			disk.Failure = d.Failure.Error()
		}
		s.Disks = append(s.Disks, disk)
	}
	return s, nil
}
