// Package digest is the one place where bytes are hashed. It owns the choice of
// implementation (SIMD where the processor has it); everything else names what
// it wants. Pure: no I/O, no state.
package digest

import (
	"crypto/md5"
	"crypto/sha1"
	"hash"
	"hash/crc32"

	"github.com/minio/crc64nvme"
	sha256 "github.com/minio/sha256-simd"
	"github.com/zeebo/xxh3"
)

// SHA256Size is the length of a SHA-256 sum in bytes.
const SHA256Size = sha256.Size

// Sum is a SHA-256 sum.
type Sum = [SHA256Size]byte

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SHA256 returns the SHA-256 of the concatenation of parts (FIPS 180-4).
func SHA256(parts ...[]byte) Sum {
	if len(parts) == 1 {
		return sha256.Sum256(parts[0])
	}
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	var s Sum
	h.Sum(s[:0])
	return s
}

// NewSHA256 returns a running SHA-256.
func NewSHA256() hash.Hash { return sha256.New() }

// NewMD5 returns a running MD5 (RFC 1321): an entity tag, never a proof.
func NewMD5() hash.Hash { return md5.New() }

// NewSHA1 returns a running SHA-1 (FIPS 180-4): a client's checksum or the HMAC
// of signature version 2, never a proof.
func NewSHA1() hash.Hash { return sha1.New() }

// NewCRC32 returns a running CRC-32 (IEEE polynomial).
func NewCRC32() hash.Hash32 { return crc32.NewIEEE() }

// NewCRC32C returns a running CRC-32C (Castagnoli polynomial).
func NewCRC32C() hash.Hash32 { return crc32.New(castagnoli) }

// NewCRC64NVME returns a running CRC-64/NVME.
func NewCRC64NVME() hash.Hash64 { return crc64nvme.New() }

// CRC32C returns the CRC-32C of the concatenation of parts.
func CRC32C(parts ...[]byte) uint32 {
	var c uint32
	for _, p := range parts {
		c = crc32.Update(c, castagnoli, p)
	}
	return c
}

// XXH3 returns the 128-bit XXH3 of b, big-endian: against faults, not adversaries.
func XXH3(b []byte) [16]byte { return xxh3.Hash128(b).Bytes() }

// NewXXH3 returns a running XXH3 whose Sum128().Bytes() equals XXH3 of the same bytes.
func NewXXH3() *xxh3.Hasher { return xxh3.New() }
