package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// A replay from the first event needs the payloads of all events. Where some were erased it
// begins at a snapshot of the state that was taken behind these: every node takes one
// before it erases, and keeps the newest. That the snapshot is what the cluster agreed on is
// checked first: its rows must make the digest that the leaf of its last event has.

// ErrNoBase says that payloads were erased, and that a replay has nothing to begin at.
var ErrNoBase = errors.New("audit: payloads of events were erased by law, so that a replay cannot begin at the first event")

// Base writes, into a directory that is empty, the state that a replay of the events below
// to has to begin at, and tells how many events were applied to it. 0: nothing is written,
// and the replay begins at the first event, as none of them was erased. ErrNoBase: there is
// no such state here.
func (x *Reader) Base(to uint64, fs vfs.FS, dir string) (next uint64, err error) {
	return x.source.base(to, fs, dir)
}

// base: an export has no state. If something was erased, the replay meets it and says so.
func (x export) base(uint64, vfs.FS, string) (uint64, error) { return 0, nil }

func (n recorded) base(to uint64, fs vfs.FS, dir string) (uint64, error) {
	last, any := uint64(0), false
	err := n.machine.Erased(0, to, func(p fsm.ErasedPayload) bool {
		last, any = p.Seq, true
		return true
	})
	if err != nil || !any {
		return 0, err
	}
	state, a, err := n.snapshot()
	if err != nil {
		return 0, err
	}
	switch {
	case a.Next <= last:
		return 0, fmt.Errorf("%w, and the newest snapshot of this node is of %d events, while event %d is erased: start the node, and let it carry the erasure out", ErrNoBase, a.Next, last)
	case a.Next > to:
		return 0, fmt.Errorf("%w, but only where the snapshot of this node stands, behind %d events: of %d, event %d is erased", ErrNoBase, a.Next, to, last)
	}
	return a.Next, copyFiles(n.fs, state, fs, dir)
}

// snapshot finds the newest snapshot of the state, verified.
func (n recorded) snapshot() (state string, a fsm.Applied, err error) {
	dir := n.fs.PathJoin(n.dir, "wal", "snapshots")
	names, err := n.fs.List(dir)
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "tmp-") })
	if err != nil || len(names) == 0 {
		return "", a, errors.Join(fmt.Errorf("%w, and this node has no snapshot of the state behind them", ErrNoBase), err)
	}
	slices.Sort(names) // they ascend with what was applied
	state = n.fs.PathJoin(dir, names[len(names)-1], "state")
	if a, err = fsm.Verify(n.fs, state); err != nil {
		return "", a, fmt.Errorf("%w, and the newest snapshot of this node cannot be used: %w", ErrNoBase, err)
	}
	if a.Next == 0 || a.Next > n.size() {
		return "", a, fmt.Errorf("%w, and the newest snapshot of this node is of %d events, of which %d are recorded here", ErrNoBase, a.Next, n.size())
	}
	b, err := n.envelope(a.Next - 1)
	if err != nil {
		return "", a, err
	}
	var env event.Envelope
	if err := event.Decode(b, &env); err != nil {
		return "", a, fmt.Errorf("audit: event %d: %w", a.Next-1, err)
	}
	if !bytes.Equal(env.StateDigest, a.Digest.Bytes()) {
		return "", a, &Mismatch{a.Next - 1, fmt.Sprintf("the snapshot that a replay has to begin at has the state %x, recorded is %x", a.Digest.Bytes(), env.StateDigest)}
	}
	return state, a, nil
}

// copyFiles copies the files of a directory into another one, which it makes.
func copyFiles(from vfs.FS, source string, to vfs.FS, dir string) error {
	names, err := from.List(source)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := to.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for _, name := range names {
		if err := copyFile(from, from.PathJoin(source, name), to, to.PathJoin(dir, name)); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	return nil
}

func copyFile(from vfs.FS, source string, to vfs.FS, target string) error {
	r, err := from.Open(source, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	w, err := to.Create(target, vfs.WriteCategoryUnspecified)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close(), r.Close())
}

// erasedEverywhere makes sure that the ledger's files hold nothing of what was erased: an
// export copies them.
func (n *Node) erasedEverywhere() (err error) {
	targets, err := Erased(n.machine, 0, math.MaxUint64)
	if err != nil {
		return err
	}
	a := n.log.Archive()
	for len(targets) > 0 && targets[0].Seq < a.Size() {
		for r, err := range a.Records(targets[0].Seq) {
			if err != nil {
				return fmt.Errorf("audit: %w", err)
			}
			if r.Seq < targets[0].Seq {
				if r.Seq%ledger.BundleSize == 0 && targets[0].Seq >= r.Seq+ledger.BundleSize {
					break // none in this bundle
				}
				continue
			}
			erased, err := r.Erase(targets[0])
			if err != nil {
				return fmt.Errorf("audit: event %d: %w", r.Seq, err)
			}
			if erased > 0 {
				return fmt.Errorf("audit: the payload of event %d was erased by law, and this node has not carried that out yet: start it, and wait for it", r.Seq)
			}
			if targets = targets[1:]; len(targets) == 0 {
				break
			}
		}
	}
	return nil
}
