package fsm

import (
	"encoding/binary"
	"math/bits"

	"ironman/wal/digest"
)

// StateDigest is the sum mod 2^256 of the hashes of all replicated rows. Adding
// and taking away rows commute, so it does not depend on the order of writes.
type StateDigest [4]uint64 // least significant word first

// hashRow is the SHA-256 of the length of a key (4 bytes, big-endian), the key and
// the value. room is scratch, and is given back for the next row.
func hashRow(room, key, value []byte) (StateDigest, []byte) {
	room = binary.BigEndian.AppendUint32(room[:0], uint32(len(key)))
	room = append(append(room, key...), value...)
	sum := digest.SHA256(room)
	return digestFromBytes(sum[:]), room
}

// rowHash is hashRow with room of the goroutine of Apply.
func (m *Machine) rowHash(key, value []byte) (d StateDigest) {
	d, m.hashed = hashRow(m.hashed, key, value)
	return d
}

// digestFromBytes is the inverse of Bytes, of 32 bytes.
func digestFromBytes(b []byte) StateDigest {
	var d StateDigest
	for i := range d {
		d[3-i] = binary.BigEndian.Uint64(b[i*8:])
	}
	return d
}

// Bytes is the big-endian form, 32 bytes.
func (d StateDigest) Bytes() []byte {
	b := make([]byte, 0, 32)
	for i := range d {
		b = binary.BigEndian.AppendUint64(b, d[3-i])
	}
	return b
}

func (d *StateDigest) add(x StateDigest) {
	var c uint64
	for i := range d {
		d[i], c = bits.Add64(d[i], x[i], c)
	}
}

func (d *StateDigest) sub(x StateDigest) {
	var c uint64
	for i := range d {
		d[i], c = bits.Sub64(d[i], x[i], c)
	}
}
