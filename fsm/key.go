package fsm

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"ironman/wal/event"
)

// A key is a table byte and the table's own order-preserving key. Numbers are
// big-endian. Object keys are opaque bytes: raw where they end the key, escaped
// (0x00 -> 0x00 0xff, end 0x00 0x01) where something follows, which keeps order.
//
//	meta          01
//	cluster       10
//	node          11 node:4
//	disk          12 number:4
//	disk id       13 id:16                        -> disk
//	incarnation   14 incarnation:8
//	pack          15 disk:4 incarnation:8 counter:8
//	blob          16 incarnation:8 counter:8
//	abandoned     17 incarnation:8 counter:8
//	release       18 due:8 kind:1 id:12|16         the queue of bodies without references
//	assembly      19 seq:8 ordinal:4
//	holders       1a seq:8 ordinal:4              of an assembly
//	reads         1b node:4
//	account       20 canonical id
//	account id    21 account                      -> canonical id
//	e-mail        22 address                      -> canonical id
//	user          23 user
//	access key    24 access key
//	name          25 account... kind:1 name       -> principal; names in lower case
//	member        26 group... user
//	policy        27 policy
//	policy name   28 account... name              -> policy; names in lower case
//	policy text   29 policy... version:4
//	inline        2a principal... name
//	attachment    2b policy... use:1 principal
//	key of        2c account... user... access key
//	vault         2d account
//	bucket name   30 name
//	bucket        31 bucket:8
//	document      32 bucket:8 kind:4
//	usage         33 bucket:8
//	holdings      34 canonical id                 of an account with a quota
//	cursor        35 bucket:8 kind:4 name
//	retention     36 bucket:8                     of a bucket that has, or had, its own; it may be gone
//	object        40 bucket:8 key                 current objects that are not markers
//	version       41 bucket:8 key... ^seq:8 ^ordinal:4   every other version and marker
//	null          42 bucket:8 key                 -> the null version, where it is one of those
//	upload        50 bucket:8 key... seq:8 ordinal:4
//	part          51 seq:8 ordinal:4 number:4
//	history       60 (table key...)... to:8
//	history index 61 to:8 table key
//	bucket index  62 bucket:8 to:8 table key      of a bucket with a retention of its own
//	request       70 seq:8                        the deduplication window
//	time          71 second:8                     -> first sequence of that second
//	erasure       73 seq:8
//	erased        74 seq:8                        of an event whose payload was erased
//	leaf          80 seq:8                        local: leaves not yet in the ledger
//	cleaned       81                              local: how far erasures are carried out
type table byte

const (
	tableMeta         table = 0x01
	tableCluster      table = 0x10
	tableNode         table = 0x11
	tableDisk         table = 0x12
	tableDiskID       table = 0x13
	tableIncarnation  table = 0x14
	tablePack         table = 0x15
	tableBlob         table = 0x16
	tableAbandoned    table = 0x17
	tableRelease      table = 0x18
	tableAssembly     table = 0x19
	tableHolders      table = 0x1a
	tableReads        table = 0x1b
	tableAccount      table = 0x20
	tableAccountID    table = 0x21
	tableEmail        table = 0x22
	tableUser         table = 0x23
	tableAccessKey    table = 0x24
	tableName         table = 0x25
	tableMember       table = 0x26
	tablePolicy       table = 0x27
	tablePolicyName   table = 0x28
	tablePolicyText   table = 0x29
	tableInline       table = 0x2a
	tableAttachment   table = 0x2b
	tableKeyOf        table = 0x2c
	tableVault        table = 0x2d
	tableBucketName   table = 0x30
	tableBucket       table = 0x31
	tableDocument     table = 0x32
	tableUsage        table = 0x33
	tableHoldings     table = 0x34
	tableCursor       table = 0x35
	tableRetention    table = 0x36
	tableObject       table = 0x40
	tableVersion      table = 0x41
	tableNull         table = 0x42
	tableUpload       table = 0x50
	tablePart         table = 0x51
	tableHistory      table = 0x60
	tableHistoryIndex table = 0x61
	tableBucketIndex  table = 0x62
	tableRequest      table = 0x70
	tableTime         table = 0x71
	tableErasure      table = 0x73
	tableErased       table = 0x74
	tableLeaf         table = 0x80
	tableCleaned      table = 0x81
)

// historical tells whether superseded rows of a table move to history. Their
// values begin with the sequence that wrote them.
func (t table) historical() bool {
	switch t {
	case tableBucketName, tableBucket, tableDocument, tableObject, tableVersion, tableNull:
		return true
	}
	return false
}

// local tells whether a table belongs to this node alone: it is not in the digest.
func (t table) local() bool { return t == tableMeta || t == tableLeaf || t == tableCleaned }

func tableOf(key []byte) table { return table(key[0]) }

// key builds the key of a table from numbers.
func key(t table, parts ...uint64) []byte {
	b := make([]byte, 0, 1+8*len(parts))
	b = append(b, byte(t))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, p)
	}
	return b
}

func key32(t table, parts ...uint32) []byte {
	b := append(make([]byte, 0, 1+4*len(parts)), byte(t))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, p)
	}
	return b
}

func keyText(t table, s string) []byte {
	return append(append(make([]byte, 0, 1+len(s)), byte(t)), s...)
}

func blobKey(t table, id *event.BlobID) []byte {
	return key(t, id.GetIncarnation(), id.GetCounter())
}

func packKey(disk uint32, p *event.PackID) []byte {
	b := key32(tablePack, disk)
	b = binary.BigEndian.AppendUint64(b, p.GetIncarnation())
	return binary.BigEndian.AppendUint64(b, p.GetCounter())
}

// versionBytes is the length of what appendVersion appends.
const versionBytes = 8 + 4

func appendVersion(b []byte, v *event.Version) []byte {
	b = binary.BigEndian.AppendUint64(b, v.GetSeq())
	return binary.BigEndian.AppendUint32(b, v.GetOrdinal())
}

func assemblyKey(v *event.Version) []byte { return appendVersion([]byte{byte(tableAssembly)}, v) }

func holdersKey(v *event.Version) []byte { return appendVersion([]byte{byte(tableHolders)}, v) }

func documentKey(bucket uint64, kind event.DocumentKind) []byte {
	return binary.BigEndian.AppendUint32(key(tableDocument, bucket), uint32(kind))
}

func objectKey(bucket uint64, name string) []byte {
	return append(key(tableObject, bucket), name...)
}

// versionKey orders the versions of a key from the newest to the oldest.
func versionKey(bucket uint64, name string, v *event.Version) []byte {
	b := binary.BigEndian.AppendUint64(versionsOf(bucket, name), ^v.GetSeq())
	return binary.BigEndian.AppendUint32(b, ^v.GetOrdinal())
}

// versionsOf begins the rows of a key in the table of versions.
func versionsOf(bucket uint64, name string) []byte {
	return appendEscaped(key(tableVersion, bucket), name)
}

func nullKey(bucket uint64, name string) []byte { return append(key(tableNull, bucket), name...) }

func cursorKey(bucket uint64, kind event.CursorKind, name string) []byte {
	return append(binary.BigEndian.AppendUint32(key(tableCursor, bucket), uint32(kind)), name...)
}

func uploadKey(bucket uint64, name string, v *event.Version) []byte {
	b := appendEscaped(key(tableUpload, bucket), name)
	return appendVersion(b, v)
}

func partKey(upload *event.Version, number uint32) []byte {
	b := appendVersion([]byte{byte(tablePart)}, upload)
	return binary.BigEndian.AppendUint32(b, number)
}

// historyKey orders the superseded values of a row by the sequence that ended them.
func historyKey(row []byte, to uint64) []byte {
	b := appendEscaped([]byte{byte(tableHistory)}, string(row))
	return binary.BigEndian.AppendUint64(b, to)
}

func historyIndexKey(to uint64, row []byte) []byte {
	return append(key(tableHistoryIndex, to), row...)
}

func bucketIndexKey(bucket, to uint64, row []byte) []byte {
	return append(key(tableBucketIndex, bucket, to), row...)
}

// The queue of releases names either a blob or an assembly.
const (
	releaseBlob     = 1
	releaseAssembly = 2
)

func releaseBlobKey(due int64, id *event.BlobID) []byte {
	b := append(key(tableRelease, uint64(due)), releaseBlob)
	b = binary.BigEndian.AppendUint64(b, id.GetIncarnation())
	return binary.BigEndian.AppendUint64(b, id.GetCounter())
}

func releaseAssemblyKey(due int64, v *event.Version) []byte {
	return appendVersion(append(key(tableRelease, uint64(due)), releaseAssembly), v)
}

// appendEscaped appends s so that it ends recognisably and sorts as s does.
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
		if s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 1)
}

// cutEscaped is the inverse of appendEscaped: the text and what follows it.
func cutEscaped(b []byte) (s, rest []byte, ok bool) {
	for i := 0; i < len(b); i++ {
		if b[i] != 0 {
			s = append(s, b[i])
			continue
		}
		if i+1 >= len(b) {
			return nil, nil, false
		}
		switch b[i+1] {
		case 0xff:
			s = append(s, 0)
			i++
		case 1:
			return s, b[i+2:], true
		default:
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// after is the smallest key above every key that begins with prefix; nil if
// there is none.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// rowsOf bounds an iterator to the rows of a table of sequences, from one to below another.
func rowsOf(t table, from, to uint64) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: key(t, from), UpperBound: key(t, to)}
}
