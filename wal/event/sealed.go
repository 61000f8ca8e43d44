package event

// Encrypted bytes are chunks, each sealed by itself (s3api/sse has the algorithm). How
// long they are is a function of how long the plain bytes are and of nothing else, and
// apply has to know it: a blob's size is that of what was coded, an object's and a
// segment's are plain.
const (
	SealedChunkBytes = 64 << 10 // plain bytes of a chunk; the last may be shorter, and is never empty
	SealedTagBytes   = 16       // what sealing adds to a chunk
)

// SealedSize is the length of plain bytes once they are sealed; 0 for none.
func SealedSize(plain uint64) uint64 {
	return plain + SealedTagBytes*((plain+SealedChunkBytes-1)/SealedChunkBytes)
}

// PlainSize is the inverse of SealedSize; false for a length that nothing sealed has.
func PlainSize(sealed uint64) (uint64, bool) {
	const full = SealedChunkBytes + SealedTagBytes
	whole, rest := sealed/full, sealed%full
	if rest == 0 {
		return whole * SealedChunkBytes, true
	}
	if rest <= SealedTagBytes {
		return 0, false
	}
	return whole*SealedChunkBytes + rest - SealedTagBytes, true
}

// Sealed tells whether bytes are encrypted; nil says that they are not.
func (e *Encryption) Sealed() bool {
	return e.GetKind() != EncryptionKind_ENCRYPTION_KIND_NONE
}

// PlainBytes is how many plain bytes a blob of this size holds; 0 if it cannot be one.
func (e *Encryption) PlainBytes(size uint64) uint64 {
	if !e.Sealed() {
		return size
	}
	plain, _ := PlainSize(size)
	return plain
}
