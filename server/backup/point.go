package backup

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Point is one moment of a cluster, and where in the target its pieces are.
type Point struct {
	Format int `json:"format"`
	Source
	// Seq is the sequence of the next event: the point is what the events below it made.
	Seq uint64 `json:"seq"`
	// Time is the log time of the last event.
	Time         time.Time `json:"time"`
	Taken        time.Time `json:"taken"` // when it was written
	Node         uint32    `json:"node"`  // from which node
	Version      string    `json:"version"`
	FeatureLevel uint32    `json:"feature_level"` // of the cluster

	Ledger Ledger  `json:"ledger"`
	State  State   `json:"state"`
	Log    Log     `json:"log"`
	Blobs  BlobSet `json:"blobs"`
}

// Ledger is the part of the ledger's files that belongs to a point.
type Ledger struct {
	// Size is how many events the files hold: a multiple of 256, at most Seq.
	Size uint64 `json:"size"`
	Root string `json:"root"` // base64, of Size events
	// Checkpoint is the signed note of Size events; empty where Size is 0.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// State are the files of the state machine.
type State struct {
	// Index and Term are of the last entry of the log that the state holds.
	Index  uint64 `json:"index"`
	Term   uint64 `json:"term"`
	Digest string `json:"digest"` // hexadecimal, of all replicated rows
	Files  []File `json:"files"`
}

// Log are the entries of the Raft log from that of the first event which the ledger's files
// do not hold up to the state's last one, which is always among them.
type Log struct {
	// BeforeTerm is the term of the entry before First. Where the node did not know it any
	// more it is that of First.
	BeforeTerm uint64 `json:"before_term"`
	First      uint64 `json:"first"`
	Last       uint64 `json:"last"` // the state's Index
	File       File   `json:"file"`
}

// BlobSet are the blobs that the state names.
type BlobSet struct {
	Count uint64 `json:"count"`
	Bytes uint64 `json:"bytes"`
	// Lists name them, ascending by id, each list behind the one before.
	Lists []File `json:"lists"`
	// Absent lists those of them whose bytes are not in the backup: the cluster had lost them.
	Absent []File `json:"absent,omitempty"`
	// Indexes tell where their bytes are. Their names are those in the target.
	Indexes []File `json:"indexes"`
}

const pointFormat = 1

const (
	pointPrefix = "points/"
	pointSuffix = ".json"
)

// PointName is where the point of a sequence is.
func PointName(seq uint64) string { return fmt.Sprintf("%s%020d%s", pointPrefix, seq, pointSuffix) }

// pointSeq is the inverse of PointName.
func pointSeq(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(name, pointPrefix), pointSuffix)
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, ok && err == nil && PointName(seq) == name
}

// Points tells the sequences of the points of a target, ascending.
func Points(ctx context.Context, t Target) ([]uint64, error) {
	items, err := t.List(ctx, pointPrefix)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, item := range items {
		if seq, ok := pointSeq(item.Name); ok {
			out = append(out, seq)
		}
	}
	return out, nil
}

// ReadPoint reads the point of a sequence.
func ReadPoint(ctx context.Context, t Target, seq uint64) (*Point, error) {
	name := PointName(seq)
	p := &Point{}
	if err := readSealed(ctx, t, name, p); err != nil {
		return nil, err
	}
	if p.Format != pointFormat {
		return nil, newer(name, p.Format)
	}
	if err := p.check(); err != nil {
		return nil, damaged(name, "%v", err)
	}
	if p.Seq != seq {
		return nil, damaged(name, "it is the point of %d", p.Seq)
	}
	return p, nil
}

// bundleSize is how many events one of the ledger's bundles holds.
const bundleSize = 256

// check refuses what contradicts itself.
func (p *Point) check() error {
	if err := p.Source.check(); err != nil {
		return err
	}
	l := &p.Ledger
	switch {
	case l.Size%bundleSize != 0 || l.Size > p.Seq || (l.Size == 0) != (l.Checkpoint == ""):
		return fmt.Errorf("a ledger of %d events belongs to no state of %d", l.Size, p.Seq)
	case p.Log.First == 0 || p.Log.First > p.Log.Last || p.Log.Last != p.State.Index:
		return fmt.Errorf("entries %d to %d belong to no state of entry %d", p.Log.First, p.Log.Last, p.State.Index)
	case p.Log.BeforeTerm > p.State.Term:
		return fmt.Errorf("the term %d comes before %d", p.State.Term, p.Log.BeforeTerm)
	case len(p.State.Files) == 0:
		return errors.New("a state without files")
	}
	if err := p.Log.File.check(); err != nil {
		return fmt.Errorf("entries of the log: %w", err)
	}
	names := make(map[string]bool)
	for _, f := range p.State.Files {
		if err := f.check(); err != nil {
			return fmt.Errorf("file %q: %w", f.Name, err)
		}
		if strings.Contains(f.Name, "/") || names[f.Name] {
			return fmt.Errorf("file %q: a state is flat, and has each name once", f.Name)
		}
		names[f.Name] = true
	}
	for _, lists := range [...][]File{p.Blobs.Lists, p.Blobs.Absent} {
		for _, f := range lists {
			if err := f.check(); err != nil {
				return fmt.Errorf("list of blobs %q: %w", f.Name, err)
			}
		}
	}
	for _, f := range p.Blobs.Indexes {
		if err := f.check(); err != nil {
			return fmt.Errorf("index %q: %w", f.Name, err)
		}
		if _, _, ok := parseIndexName(f.Name); !ok {
			return fmt.Errorf("index %q is none", f.Name)
		}
	}
	return nil
}
