package backup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"

	"ironman/wal/segment"
)

// Entries of the Raft log, dense and ascending, one behind the other:
//
//	+----------+---------+     +--------+-------+------+------+-------------+-------------+------------+------+
//	| IMBKLOGE | version |     | length | index | term | type | appended at | extensions' | extensions | data |
//	| 8 bytes  | 4       | ... | 4      | 8     | 8    | 1    | 8, ns       | length, 4   |            |      |
//	+----------+---------+     +--------+-------+------+------+-------------+-------------+------------+------+
//
// Numbers are big-endian; the length is of what follows it. A time of math.MinInt64 is none.
const (
	entriesMagic   = "IMBKLOGE"
	entriesVersion = 1
	entryFixed     = 8 + 8 + 1 + 8 + 4
)

// WriteEntries writes entries.
func WriteEntries(w io.Writer, entries iter.Seq2[segment.Entry, error]) error {
	b := bufio.NewWriter(w)
	head := binary.BigEndian.AppendUint32([]byte(entriesMagic), entriesVersion)
	if _, err := b.Write(head); err != nil {
		return err
	}
	var room []byte
	for e, err := range entries {
		if err != nil {
			return err
		}
		room = appendEntry(room[:0], &e)
		if _, err := b.Write(room); err != nil {
			return err
		}
	}
	return b.Flush()
}

func appendEntry(b []byte, e *segment.Entry) []byte {
	at := int64(math.MinInt64)
	if !e.AppendedAt.IsZero() {
		at = e.AppendedAt.UnixNano()
	}
	b = binary.BigEndian.AppendUint32(b, uint32(entryFixed+len(e.Extensions)+len(e.Data)))
	b = binary.BigEndian.AppendUint64(b, e.Index)
	b = binary.BigEndian.AppendUint64(b, e.Term)
	b = append(b, e.Type)
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Extensions)))
	return append(append(b, e.Extensions...), e.Data...)
}

// ReadEntries reads entries from first to last: others, fewer or more are an error, behind
// which nothing comes.
func ReadEntries(r io.Reader, first, last uint64) iter.Seq2[segment.Entry, error] {
	return func(yield func(segment.Entry, error) bool) {
		b := bufio.NewReader(r)
		err := readEntriesHead(b)
		term := uint64(0)
		for index := first; err == nil && index <= last; index++ {
			var e segment.Entry
			if e, err = readEntry(b); err != nil {
				break
			}
			if e.Index != index || e.Term < term {
				err = fmt.Errorf("%w: entry %d of term %d comes where %d does", ErrDamaged, e.Index, e.Term, index)
				break
			}
			term = e.Term
			if !yield(e, nil) {
				return
			}
		}
		if err == nil {
			if _, err = b.ReadByte(); err == nil {
				err = fmt.Errorf("%w: there is more behind entry %d", ErrDamaged, last)
			}
		}
		if err != io.EOF {
			yield(segment.Entry{}, err)
		}
	}
}

func readEntriesHead(r io.Reader) error {
	var head [len(entriesMagic) + 4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return cutOff(err)
	}
	if string(head[:len(entriesMagic)]) != entriesMagic {
		return fmt.Errorf("%w: these are no entries of a log", ErrDamaged)
	}
	return checkVersion("entries of a log", binary.BigEndian.Uint32(head[len(entriesMagic):]), entriesVersion)
}

func checkVersion(what string, version, known uint32) error {
	switch {
	case version > known:
		return fmt.Errorf("%w: %s of version %d", ErrNewer, what, version)
	case version < known:
		return fmt.Errorf("%w: %s of version %d", ErrDamaged, what, version)
	}
	return nil
}

// cutOff is an end that came too early.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrDamaged)
	}
	return err
}

func readEntry(r io.Reader) (segment.Entry, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return segment.Entry{}, cutOff(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < entryFixed || n > entryFixed+segment.MaxEntryBytes {
		return segment.Entry{}, fmt.Errorf("%w: an entry of %d bytes", ErrDamaged, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return segment.Entry{}, cutOff(err)
	}
	extensions := binary.BigEndian.Uint32(b[25:])
	if uint64(extensions) > uint64(n-entryFixed) {
		return segment.Entry{}, fmt.Errorf("%w: extensions of %d bytes in an entry of %d", ErrDamaged, extensions, n)
	}
	e := segment.Entry{Index: binary.BigEndian.Uint64(b), Term: binary.BigEndian.Uint64(b[8:]), Type: b[16]}
	if at := int64(binary.BigEndian.Uint64(b[17:])); at != math.MinInt64 {
		e.AppendedAt = time.Unix(0, at)
	}
	rest := b[entryFixed:]
	if extensions > 0 {
		e.Extensions = rest[:extensions:extensions]
	}
	if data := rest[extensions:]; len(data) > 0 {
		e.Data = data
	}
	return e, nil
}
