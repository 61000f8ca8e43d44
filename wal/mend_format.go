package wal

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"ironman/wal/event"
	"ironman/wal/segment"
)

// The body of an answer that gives an entry of the log (numbers are big-endian):
//
//	+-------+------+------+---------+-------------+------------+------------+------+
//	| index | term | type | seconds | nanoseconds | length of  | extensions | data |
//	| 8     | 8    | 1    | 8       | 4           | ext., 4    |            |      |
//	+-------+------+------+---------+-------------+------------+------------+------+
//
// Seconds and nanoseconds say when it was appended first, from the Unix epoch.
const entryAnswerHeader = 8 + 8 + 1 + 8 + 4 + 4

func encodeEntry(e segment.Entry) []byte {
	b := make([]byte, 0, entryAnswerHeader+len(e.Extensions)+len(e.Data))
	b = binary.BigEndian.AppendUint64(b, e.Index)
	b = binary.BigEndian.AppendUint64(b, e.Term)
	b = append(b, e.Type)
	b = binary.BigEndian.AppendUint64(b, uint64(e.AppendedAt.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(e.AppendedAt.Nanosecond()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Extensions)))
	return append(append(b, e.Extensions...), e.Data...)
}

// decodeEntry is the inverse of encodeEntry, strictly, for the entry that was asked
// for. It aliases b.
func decodeEntry(b []byte, index uint64) (segment.Entry, error) {
	if len(b) < entryAnswerHeader || len(b) > maxAnswerBody {
		return segment.Entry{}, fmt.Errorf("%w: entry of %d bytes", event.ErrMalformed, len(b))
	}
	u64, u32 := binary.BigEndian.Uint64, binary.BigEndian.Uint32
	e := segment.Entry{Index: u64(b), Term: u64(b[8:]), Type: b[16]}
	nanos, ext, body := u32(b[25:]), u32(b[29:]), b[entryAnswerHeader:]
	switch {
	case raft.LogType(e.Type) > knownTypes:
		return segment.Entry{}, fmt.Errorf("%w: entry of type %d", event.ErrNewer, e.Type)
	case e.Index != index || e.Term == 0 || nanos >= 1e9 || uint64(ext) > uint64(len(body)):
		return segment.Entry{}, fmt.Errorf("%w: entry %d of term %d, where entry %d was asked for", event.ErrMalformed, e.Index, e.Term, index)
	}
	e.AppendedAt = time.Unix(int64(u64(b[17:])), int64(nanos)).UTC()
	if ext > 0 {
		e.Extensions = body[:ext:ext]
	}
	if len(body) > int(ext) {
		e.Data = body[ext:]
	}
	return e, nil
}
