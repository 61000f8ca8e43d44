package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/server/audit"
	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// diskEntry is what a node remembers of one of its disks, outside of the disk: so
// that an empty mount point is never taken for an empty disk.
type diskEntry struct {
	Path string `json:"path"`
	ID   string `json:"id"` // hexadecimal, 16 bytes
	// Formatted is set once the disk bears its identity. From then on a directory
	// without one is a disk that is not there.
	Formatted bool `json:"formatted"`
}

type diskFile struct {
	Format int         `json:"format"`
	Disks  []diskEntry `json:"disks"` // by slot
}

const diskFormat = 1

// begin starts a new incarnation of this node: from here on no blob of an older
// one can be named any more.
func (n *Node) begin(ctx context.Context, c *fsm.Cluster) error {
	key, err := n.identity.publicKey()
	if err != nil {
		return err
	}
	if err := n.refuseSetBack(); err != nil {
		return err
	}
	if err := n.remember(func(id *identity) { id.Proposed = id.Boot }); err != nil {
		return err
	}
	n.starts.begun.Store(true)
	a, err := n.agree(ctx, event.NewDraft(nil, &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{
		Node: n.identity.Node, PublicKey: key, Boot: n.identity.Boot, LinkAddress: n.opts.LinkAddress,
		Version: Version(), FeatureLevel: event.FeatureLevel,
	}}))
	if err != nil {
		return err
	}
	if err := mayStart(a.Outcome.Refusal); err != nil {
		return err
	}
	n.incarnation = a.Outcome.Allocated
	signer, err := n.keyring.ledgerSigner(c.LedgerOrigin)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(c.LedgerKey)
	if err != nil {
		return err
	}
	past, err := audit.PastEpochs(c)
	if err != nil {
		return err
	}
	return n.log.OpenLedger(c.LedgerOrigin, signer, note.VerifierList(verifier), past...)
}

// mayStart says why the cluster refuses a node's start.
func mayStart(r event.Refusal) error {
	switch r {
	case event.Refusal_REFUSAL_NONE:
		return nil
	case event.Refusal_REFUSAL_NOT_FOUND: // it was not, when it last was heard of
		return fmt.Errorf("server: this node was removed from its cluster. %s", joinAnew)
	}
	return fmt.Errorf("server: this node may not start (%s): is its directory a copy, or an old backup?", r)
}

// openDisks gives new disks their numbers and opens all.
func (n *Node) openDisks(ctx context.Context, c *fsm.Cluster) error {
	o := &n.opts
	path := o.FS.PathJoin(o.Dir, "disks.json")
	file, err := readDisks(o, path)
	if err != nil {
		return err
	}
	store := erasure.Options{
		ClusterID: [16]byte(c.ClusterId), Node: n.identity.Node, Incarnation: n.incarnation,
		Now: o.Now, Logger: o.Logger, PackSize: o.PackBytes, Reserve: o.Reserve,
		Topology: n.topology, Remote: n.remoteDisk,
		OnDamage: func(d erasure.Damage) { n.metrics.damage.Inc(); o.Logger.Warn("damaged shard", "damage", d) },
	}
	for slot := range file.Disks {
		cfg, err := n.prepareDisk(ctx, c.ClusterId, slot, file, path)
		if err != nil {
			return err
		}
		store.Disks = append(store.Disks, cfg)
	}
	n.blobs, err = erasure.OpenStore(store)
	if err == nil {
		n.metrics.freeOfDisks(n.blobs)
	}
	if errors.Is(err, erasure.ErrStaleIncarnation) {
		err = fmt.Errorf("server: %s is older than the disks of this node (was it restored from a backup?): %w", o.Dir, err)
	}
	return err
}

// readDisks reads the list of disks and adds those that are new in the options.
func readDisks(o *Options, path string) (*diskFile, error) {
	f := &diskFile{Format: diskFormat}
	b, err := readSmall(o.FS, path)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(f); err != nil || f.Format != diskFormat {
			return nil, fmt.Errorf("server: %s is not one that this release understands", path)
		}
	} else if !errors.Is(err, errNoFile) {
		return nil, fmt.Errorf("server: %w", err)
	}
	if len(o.Disks) < len(f.Disks) {
		return nil, fmt.Errorf("server: this node has %d disks, but %d are given: name all of them, in their order", len(f.Disks), len(o.Disks))
	}
	changed := len(o.Disks) > len(f.Disks)
	for slot, dir := range o.Disks {
		if slot < len(f.Disks) {
			changed = changed || f.Disks[slot].Path != dir
			f.Disks[slot].Path = dir // a disk may move; its identity is on it
			continue
		}
		var id [16]byte
		rand.Read(id[:]) // never fails (crypto/rand)
		f.Disks = append(f.Disks, diskEntry{Path: dir, ID: hex.EncodeToString(id[:])})
	}
	if changed {
		err = writeDisks(o, path, f)
	} else {
		err = nil
	}
	return f, err
}

func writeDisks(o *Options, path string, f *diskFile) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return writeDurably(o.FS, path, append(b, '\n'))
}

// prepareDisk makes sure that the cluster knows a disk and that the disk knows
// who it is: id, then number by an event, then identity on the disk, then the
// note that it has one. Each step may be repeated after a crash.
func (n *Node) prepareDisk(ctx context.Context, cluster []byte, slot int, file *diskFile, path string) (erasure.DiskConfig, error) {
	e := &file.Disks[slot]
	raw, err := hex.DecodeString(e.ID)
	if err != nil || len(raw) != 16 {
		return erasure.DiskConfig{}, fmt.Errorf("server: %s: slot %d has a damaged id", path, slot)
	}
	a, err := n.agree(ctx, event.NewDraft(nil, &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{
		DiskId: raw, Node: n.identity.Node, Slot: uint32(slot),
	}}))
	if err != nil {
		return erasure.DiskConfig{}, err
	}
	if r := a.Outcome.Refusal; r != event.Refusal_REFUSAL_NONE && r != event.Refusal_REFUSAL_EXISTS {
		return erasure.DiskConfig{}, fmt.Errorf("server: disk %s was refused: %s", e.Path, r)
	}
	cfg := erasure.DiskConfig{
		FS: n.opts.FS, Dir: e.Path, Slot: uint32(slot), Number: uint32(a.Outcome.Allocated), ID: [16]byte(raw), Optional: true,
	}
	if e.Formatted && !sabotage.On(sabotage.X31) {
		return cfg, nil
	}
	err = erasure.Format(n.opts.FS, e.Path, erasure.Identity{
		Cluster: [16]byte(cluster), Disk: cfg.ID, Node: n.identity.Node, Slot: cfg.Slot, Number: cfg.Number,
	})
	if err != nil {
		return cfg, fmt.Errorf("server: disk %s: %w", e.Path, err)
	}
	e.Formatted = true
	return cfg, writeDisks(&n.opts, path, file)
}
