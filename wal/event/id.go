package event

import (
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// versionAlphabet keeps byte order: base32hex, lower case.
var versionAlphabet = base32.HexEncoding.WithPadding(base32.NoPadding)

// VersionIDBytes is the length of an encoded version id.
const VersionIDBytes = 20

// ID encodes v as the opaque text a client sees: 20 characters whose order is
// that of (seq, ordinal). Of nil it is "".
func (v *Version) ID() string {
	if v == nil {
		return ""
	}
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], v.Seq)
	binary.BigEndian.PutUint32(b[8:], v.Ordinal)
	return strings.ToLower(versionAlphabet.EncodeToString(b[:]))
}

// ParseVersionID is the inverse of ID. It accepts nothing that ID does not give.
func ParseVersionID(s string) (*Version, bool) {
	if len(s) != VersionIDBytes || strings.ToLower(s) != s {
		return nil, false
	}
	b, err := versionAlphabet.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != 12 {
		return nil, false
	}
	v := &Version{Seq: binary.BigEndian.Uint64(b[:8]), Ordinal: binary.BigEndian.Uint32(b[8:])}
	return v, v.ID() == s // the last character holds unused bits
}

// Same tells whether two versions are the same; unset equals only unset.
func (v *Version) Same(w *Version) bool {
	if v == nil || w == nil {
		return v == w
	}
	return v.Seq == w.Seq && v.Ordinal == w.Ordinal
}

// Key is a comparable form of a blob id.
func (b *BlobID) Key() [16]byte {
	var k [16]byte
	binary.BigEndian.PutUint64(k[:8], b.GetIncarnation())
	binary.BigEndian.PutUint64(k[8:], b.GetCounter())
	return k
}

// BlobIDFromKey is the inverse of Key.
func BlobIDFromKey(k [16]byte) *BlobID {
	return &BlobID{Incarnation: binary.BigEndian.Uint64(k[:8]), Counter: binary.BigEndian.Uint64(k[8:])}
}
