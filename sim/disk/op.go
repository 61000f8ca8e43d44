package disk

import (
	"encoding/binary"
	"fmt"
)

// Kind of an operation.
type Kind uint8

// The kinds. Those from Open on change nothing.
const (
	Create Kind = iota
	Link
	Remove
	Rename
	Mkdir
	Write
	Preallocate
	Sync
	SyncData
	SyncTo
	SyncDir
	Open
	Read
	List
	Stat
	Usage
	kinds
)

func (k Kind) String() string {
	return [kinds]string{"create", "link", "remove", "rename", "mkdir", "write", "preallocate", "sync", "syncdata", "syncto", "syncdir",
		"open", "read", "list", "stat", "usage"}[k]
}

// Changes tells whether operations of this kind change or sync something.
func (k Kind) Changes() bool { return k < Open }

// Op is one operation on a disk.
type Op struct {
	Kind Kind
	// Path is absolute and clean; of an open file, the one it was opened with.
	Path string
	// To is the new name of a Rename or Link.
	To string
	// Offset and Length of a Read, Write or Preallocate. Hooks.Observe is told what
	// was done, Hooks.Before what was asked for.
	Offset int64
	Length int
	// Mark is some of the bytes that were to be written, mixed: two histories that
	// wrote something else mostly differ in it.
	Mark uint64
	// Err is how it ended.
	Err error
}

// String is a line of a trace.
func (o Op) String() string {
	s := o.Kind.String() + " " + o.Path
	switch o.Kind {
	case Link, Rename:
		s += " " + o.To
	case Write, Read, Preallocate:
		s += fmt.Sprintf(" %d+%d", o.Offset, o.Length)
	}
	if o.Mark != 0 {
		s += fmt.Sprintf(" %08x", uint32(o.Mark))
	}
	if o.Err != nil {
		s += ": " + o.Err.Error()
	}
	return s
}

// Hooks are told of the operations of one incarnation.
type Hooks struct {
	// Before is called before an operation that changes or syncs something, outside
	// of the lock: it may cut the disk. Its error fails the operation, which then has
	// no effect and is not observed.
	Before func(Op) error
	// Observe is called under the lock of the disk, in the order in which operations
	// took effect, also for those that failed. It must not call the disk.
	Observe func(Op)
	// Reads: Observe is told of operations that change nothing, too.
	Reads bool
}

// markOf mixes three words of p: a mark, not a digest.
func markOf(p []byte) uint64 {
	h := uint64(len(p))
	mix := func(word []byte) {
		var b [8]byte
		copy(b[:], word)
		h = (h ^ binary.LittleEndian.Uint64(b[:])) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	mix(p)
	mix(p[len(p)/2:])
	mix(p[max(0, len(p)-8):])
	return h
}
