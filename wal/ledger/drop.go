package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"ironman/wal/digest"
	"ironman/wal/event"
	"ironman/wal/merkle"
)

// What an archive may forget. The ledger itself never does; a log of reads may, if that is
// asked for: whole bundles of its oldest records go, with all that they say. Their tiles
// stay, and with them every root, proof and checkpoint.
//
// Where records begin that are kept is a file of its own, written before the first bundle
// goes, so that what is missing without it is damage:
//
//	+---------+---------+--------------------+-----------+
//	| "IMLK"  | version | first kept record  | CRC32C of |
//	| 4 bytes | 1 byte  | 8 bytes, BE        | these, 4  |
//	+---------+---------+--------------------+-----------+
const (
	keptPath    = "kept"
	keptMagic   = "IMLK"
	keptVersion = 1
	keptBytes   = 4 + 1 + 8 + 4
)

// ErrDropped says that a record is kept no longer.
var ErrDropped = errors.New("ledger: kept no longer")

func encodeKept(seq uint64) []byte {
	b := append(make([]byte, 0, keptBytes), keptMagic...)
	b = append(b, keptVersion)
	b = binary.BigEndian.AppendUint64(b, seq)
	return binary.BigEndian.AppendUint32(b, digest.CRC32C(b))
}

func decodeKept(b []byte) (uint64, error) {
	if err := checkVersion(b, keptMagic, keptVersion); err != nil {
		return 0, fmt.Errorf("kept: %w", err)
	}
	if len(b) != keptBytes || digest.CRC32C(b[:keptBytes-4]) != binary.BigEndian.Uint32(b[keptBytes-4:]) {
		return 0, fmt.Errorf("%w: kept: %d bytes with a wrong checksum", event.ErrMalformed, len(b))
	}
	seq := binary.BigEndian.Uint64(b[5:])
	if seq > merkle.MaxSize || seq%BundleSize != 0 || seq == 0 {
		return 0, fmt.Errorf("%w: kept: from %d on", event.ErrMalformed, seq)
	}
	return seq, nil
}

// readKept tells from which record on all are kept.
func readKept(f *files) (uint64, error) {
	b, err := f.readIfAny(keptPath, keptBytes)
	if err != nil || b == nil {
		return 0, err
	}
	return decodeKept(b)
}

// Kept is the first record that is kept.
func (a *Archive) Kept() uint64 { return a.kept.Load() }

// Drop takes the whole bundles of all records below a sequence away, but never the last
// one, and returns once they are gone for good. Hashes, roots and proofs stay. A failed write
// is fatal.
func (a *Archive) Drop(below uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusal != nil {
		return a.refusal
	}
	size := a.Size()
	if size == 0 || !a.o.Drops {
		return nil
	}
	below = min(below, size-1) / BundleSize * BundleSize
	if below <= a.kept.Load() {
		return nil
	}
	if err := a.drop(below); err != nil {
		return a.fail(err)
	}
	return nil
}

func (a *Archive) drop(below uint64) error {
	from := a.kept.Load()
	if err := a.bundles.replace(keptPath, encodeKept(below)); err != nil {
		return err
	}
	if err := a.bundles.sync(); err != nil {
		return err
	}
	a.kept.Store(below) // who reads from now on looks for nothing below
	if err := a.removeBundles(from/BundleSize, below/BundleSize); err != nil {
		return err
	}
	a.log.Info("records are kept no longer", "from", from, "below", below)
	return nil
}

// removeBundles removes the files of bundles; what is gone already is.
func (a *Archive) removeBundles(from, to uint64) error {
	for n := from; n < to; n++ {
		if err := a.removeBundle(n); err != nil {
			return err
		}
	}
	return a.bundles.sync()
}

func (a *Archive) removeBundle(n uint64) error {
	a.sums.one.Lock()
	defer a.sums.one.Unlock()
	sizes := [2]int64{}
	for i, rel := range []string{EntriesPath(n, BundleSize), PayloadPath(n, BundleSize)} {
		if st, err := a.bundles.fs.Stat(a.bundles.at(rel)); err == nil {
			sizes[i] = st.Size()
		}
		if err := a.bundles.remove(rel); err != nil {
			return err
		}
	}
	a.sums.removed(n, sizes[0], sizes[1])
	return nil
}

// sweep removes what a crash left of payload bundles that were being written, below a
// directory, durably: nobody will write them again once their bundles are gone, and they
// hold what is to be gone, too.
func (a *Archive) sweep(dir string) error {
	names, err := a.bundles.fs.List(a.bundles.at(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	for _, name := range names {
		rel := path.Join(dir, name)
		switch {
		case strings.HasSuffix(name, tempSuffix):
			err = a.bundles.remove(rel)
		case strings.HasPrefix(name, "x"):
			err = a.sweep(rel)
		}
		if err != nil {
			return err
		}
	}
	return a.bundles.sync()
}

// finishDrop removes what a crash left of a Drop: bundles next to those that are kept.
func (a *Archive) finishDrop() error {
	n := a.kept.Load() / BundleSize
	for n > 0 {
		_, err1 := a.bundles.fs.Stat(a.bundles.at(EntriesPath(n-1, BundleSize)))
		_, err2 := a.bundles.fs.Stat(a.bundles.at(PayloadPath(n-1, BundleSize)))
		if err1 != nil && err2 != nil {
			break
		}
		n--
	}
	return a.removeBundles(n, a.kept.Load()/BundleSize)
}

// ErrBeyond says that there are more bundles beyond Size than a crash can have left: the head
// or checkpoint is an old one, or gone.
var ErrBeyond = errors.New("ledger: bundles are there that no head or checkpoint vouches for")

// Beyond counts the bundles, whole or not, that stand behind Size.
func (a *Archive) Beyond() (bundles uint64, err error) {
	for n := a.Size() / BundleSize; ; n++ {
		there := false
		for _, rel := range bundleFiles(n) {
			_, err := a.bundles.fs.Stat(a.bundles.at(rel))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return bundles, fmt.Errorf("%s: %w", rel, err)
			}
			there = there || err == nil
		}
		if !there {
			return bundles, nil
		}
		bundles++
	}
}

// bundleFiles are the files that are written for the n-th bundle alone.
func bundleFiles(n uint64) []string {
	return []string{EntriesPath(n, BundleSize), PayloadPath(n, BundleSize), TilePath(0, n, BundleSize)}
}

// Cut removes what a crash left beyond Size: bundles and tiles that nobody vouches for. It is
// for a log whose records are nowhere else: others will come in their place, and a file
// that is there already must be the same. Where there are more than most bundles nothing is
// removed: ErrBeyond. A failed write is fatal.
func (a *Archive) Cut(most uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusal != nil {
		return a.refusal
	}
	beyond, err := a.Beyond()
	if err != nil {
		return err
	}
	if beyond > most {
		return fmt.Errorf("%w: %d behind the first %d records, and a crash leaves %d at most", ErrBeyond, beyond, a.Size(), most)
	}
	if err := a.cut(); err != nil {
		return a.fail(err)
	}
	return nil
}

func (a *Archive) cut() error {
	removed := 0
	// take removes a file, and tells whether it was there.
	take := func(rel string) (bool, error) {
		_, err := a.bundles.fs.Stat(a.bundles.at(rel))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err == nil {
			removed++
			err = a.bundles.remove(rel)
		}
		return true, err
	}
	size := a.Size()
	for n, found := size/BundleSize, true; found; n++ {
		found = false
		for _, rel := range bundleFiles(n) {
			was, err := take(rel)
			if err != nil {
				return err
			}
			found = found || was
		}
	}
	for level := 1; TileHeight*(level+1) < 63; level++ {
		for n := size >> (TileHeight * (level + 1)); ; n++ {
			was, err := take(TilePath(level, n, BundleSize))
			if err != nil {
				return err
			}
			if !was {
				break
			}
		}
	}
	if removed > 0 {
		a.log.Warn("what a crash left of bundles was removed", "dir", a.o.Dir, "size", size, "files", removed)
	}
	return a.bundles.sync()
}
