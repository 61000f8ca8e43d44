package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// TailPath is the place of a tail, below its archive's directory.
const TailPath = "tail"

// Tail keeps records behind an archive's whole bundles, for a log that has no other place
// for them. What Append and Rewrite have returned for is durable. For one goroutine; after
// an error it is not to be used.
type Tail struct {
	files *files
	file  vfs.File     // open for Append; nil: there is none yet
	end   atomic.Int64 // of the file
	next  uint64       // sequence of the next record
}

// TailState is what was found of a tail.
type TailState struct {
	// First is the record that the file says it begins with; Found: there is a file that says so.
	First uint64
	Found bool
	// Records are those that are whole, dense from the archive's size on.
	Records []Record
	// Torn is how many bytes stand there that are part of no whole record: a crash came
	// while they were written, or they are damaged.
	Torn int
	// Behind are whole records that were durable behind such bytes, which are damage then: in
	// order, and with gaps.
	Behind []Record
	// Unusable says why nothing could be read; nil: it could.
	Unusable error
}

// ReadTail reads the tail of an archive of so many records, and changes nothing. A tail of a
// newer release is an error; one that cannot be read, or does not join the archive, is told
// of in the state.
func ReadTail(fsys vfs.FS, dir string, size uint64) (*TailState, error) {
	s := &TailState{}
	b, err := newFiles(fsys, dir).readIfAny(TailPath, maxTailBytes)
	if err != nil || b == nil {
		return s, err
	}
	t, err := decodeTail(b)
	switch {
	case errors.Is(err, event.ErrNewer):
		return nil, err
	case err != nil:
		s.Unusable, s.Torn = err, len(b)
		return s, nil
	}
	s.First, s.Found = t.first, true
	if t.first > size {
		s.Unusable, s.Torn = fmt.Errorf("%w: the tail begins with record %d, and the bundles end with %d", ErrGap, t.first, size), len(b)
		return s, nil
	}
	// A crash came between the archive's last bundle and the tail behind it.
	s.Records, s.Torn = from(t.records, size), t.rest
	s.Behind = from(t.behind, size)
	return s, nil
}

// from are the records from a sequence on.
func from(records []Record, seq uint64) []Record {
	for len(records) > 0 && records[0].Seq < seq {
		records = records[1:]
	}
	return records
}

// asidePrefix begins the names of tails that were kept aside.
const asidePrefix = TailPath + ".damaged."

// SetTailAside keeps a copy of a tail that is damaged beside it, for whoever can read more of
// it; how many there are is bounded by whoever removes them (RemoveAside). It returns once it
// is durable.
func SetTailAside(fsys vfs.FS, dir string) (name string, err error) {
	f := newFiles(fsys, dir)
	b, err := f.read(TailPath, maxTailBytes)
	if err != nil {
		return "", err
	}
	sum := digest.SHA256(b)
	name = asidePrefix + hex.EncodeToString(sum[:8])
	if err := f.replace(name, b); err != nil {
		return "", err
	}
	return name, f.sync()
}

// RemoveAside removes the tails that were kept aside, durably, and tells how many.
func RemoveAside(fsys vfs.FS, dir string) (removed int, err error) {
	f := newFiles(fsys, dir)
	names, err := fsys.List(f.at("."))
	if err != nil {
		return 0, fmt.Errorf("ledger directory: %w", err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, asidePrefix) {
			continue
		}
		if err := f.remove(name); err != nil {
			return removed, err
		}
		removed++
	}
	if removed == 0 {
		return 0, nil
	}
	return removed, f.sync()
}

// OpenTail begins to write the tail of an archive of so many records: anew, with those that are to stay.
func OpenTail(fsys vfs.FS, dir string, size uint64, stay []Record) (*Tail, error) {
	t := &Tail{files: newFiles(fsys, dir)}
	return t, t.Rewrite(size, stay)
}

// Append adds records.
func (t *Tail) Append(records []Record) error {
	at := nextBatch(int(t.end.Load()))
	b, err := t.frames(nil, records, tailBatchBegins)
	if err != nil || len(records) == 0 {
		return err
	}
	n := len(b)
	if _, err := t.file.WriteAt(b, int64(at)); err != nil {
		return fmt.Errorf("%s: %w", TailPath, err)
	}
	if err := t.file.Sync(); err != nil {
		return fmt.Errorf("%s: %w", TailPath, err)
	}
	t.end.Store(int64(at + n))
	t.next += uint64(len(records))
	return nil
}

// Rewrite replaces the tail in one step: it begins with a sequence, and holds the records
// from there on.
func (t *Tail) Rewrite(first uint64, records []Record) error {
	t.next = first
	b, err := t.frames(encodeTailHeader(first), records, 0)
	if err != nil {
		return err
	}
	t.end.Store(int64(len(b)))
	t.next = first + uint64(len(records))
	if t.file != nil {
		if err := t.file.Close(); err != nil {
			return fmt.Errorf("%s: %w", TailPath, err)
		}
		t.file = nil
	}
	if err := t.files.replace(TailPath, b); err != nil {
		return err
	}
	if err := t.files.sync(); err != nil {
		return err
	}
	t.file, err = t.files.fs.OpenReadWrite(t.files.at(TailPath), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("%s: %w", TailPath, err)
	}
	return nil
}

// frames appends the frames of records that follow; flags are those of the first.
func (t *Tail) frames(b []byte, records []Record, flags uint32) ([]byte, error) {
	for i := range records {
		r := &records[i]
		if r.Seq != t.next+uint64(i) {
			return nil, fmt.Errorf("%w: sequence %d behind %d records of a tail that goes on with %d", ErrGap, r.Seq, i, t.next)
		}
		var err error
		if b, err = appendFrame(b, r, flags); err != nil {
			return nil, err
		}
		flags = 0
	}
	return b, nil
}

// Bytes is how long the file is. Anybody may ask, also while something is written.
func (t *Tail) Bytes() int64 { return t.end.Load() }

// Close closes the file.
func (t *Tail) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}
