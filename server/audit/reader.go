package audit

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/fsm"
	"ironman/wal/ledger"
)

// source is where records are read.
type source interface {
	size() uint64
	records(from uint64) iter.Seq2[ledger.Record, error]
	envelope(seq uint64) ([]byte, error)
	// root is that of the first events, if it can be told without reading all of them.
	root(size uint64) (root tlog.Hash, ok bool, err error)
	// view is of the state that knows names; nil: there is none.
	view() (*fsm.View, error)
	base(to uint64, fs vfs.FS, dir string) (next uint64, err error)
}

// Reader reads records in order: of a node (Open) or of an export (OpenExport). Safe for
// concurrent use.
type Reader struct {
	Origin, Key string // of the ledger
	source      source
}

// Size is how many events are recorded here.
func (x *Reader) Size() uint64 { return x.source.size() }

// Records gives the records from a sequence on, each as its envelope says. It ends after
// the first error.
func (x *Reader) Records(from uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for r, err := range x.source.records(from) {
			if err == nil {
				if err = r.Check(); err != nil {
					err = &ledger.Damage{Seq: r.Seq, Err: err}
				}
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// Record reads one record.
func (x *Reader) Record(seq uint64) (ledger.Record, error) {
	if size := x.Size(); seq >= size {
		return ledger.Record{}, fmt.Errorf("audit: there is no event %d: %d are recorded here, from 0 on", seq, size)
	}
	for r, err := range x.Records(seq) {
		return r, err
	}
	return ledger.Record{}, fmt.Errorf("audit: event %d is gone", seq)
}

// At is how many events were before a moment: the first one of it or later.
func (x *Reader) At(t time.Time) (uint64, error) { return At(x.Size(), t, x.source.envelope) }

// words opens words for the time of f.
func (x *Reader) words(f func(*Words) error) error {
	v, err := x.source.view()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	err = f(NewWords(v, x.Record))
	if v != nil {
		err = errors.Join(err, v.Close())
	}
	return err
}

// export is an exported ledger as a source.
type export struct{ *ledger.Exported }

func (x export) size() uint64                                        { return x.Size() }
func (x export) records(from uint64) iter.Seq2[ledger.Record, error] { return x.Records(from) }
func (x export) envelope(seq uint64) ([]byte, error)                 { return x.Envelope(seq) }
func (x export) view() (*fsm.View, error)                            { return nil, nil }
func (x export) root(size uint64) (root tlog.Hash, ok bool, err error) {
	return x.Tree().Hash, size == x.Size(), nil
}

// OpenExport opens an exported ledger to be read. Its checkpoint must be signed; that all of
// it is as that says VerifyExport tells. key as in Options. Names of users are not in it.
func OpenExport(fs vfs.FS, dir, key string) (*Reader, error) {
	key, err := exportKey(fs, dir, key)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("audit: the verifier key %q: %w", key, err)
	}
	x, err := ledger.OpenExported(fs, dir, v.Name(), note.VerifierList(v))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return &Reader{Origin: v.Name(), Key: key, source: export{x}}, nil
}

// exportKey is the key that an export must be signed with: the one that is given, or the
// one that its events name: the first, or that which began the epoch of its checkpoint.
func exportKey(fs vfs.FS, dir, key string) (string, error) {
	if key != "" {
		return key, nil
	}
	e, err := ledger.SignedIn(fs, dir)
	if err != nil {
		return "", fmt.Errorf("audit: which key signs the ledger is not known (--key): %w", err)
	}
	return e.Key, nil
}
