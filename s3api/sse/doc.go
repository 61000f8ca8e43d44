// Package sse seals the bytes of objects. It knows keys, chunks and how keys are wrapped;
// it knows no HTTP, no storage and no state. What is wrong with a key or with sealed
// bytes is an error; no plain byte is given out before its chunk has been verified.
//
// # Chunks
//
// Every blob has a data key of its own: 32 random bytes, drawn for it, used for nothing
// else, never stored but wrapped. Its plain bytes are cut into chunks of 64 KiB, the last
// shorter but never empty, and each chunk is sealed by AES-256-GCM without additional data:
//
//	sealed blob:  | chunk 0 | tag | chunk 1 | tag | ... | last chunk | tag |
//	                64 KiB    16    64 KiB    16          1 B - 64 KiB  16
//
//	nonce:        | 0 0 0 | number of the chunk, big-endian | 1 if it is the last, else 0 |
//	                3 bytes            8 bytes                          1 byte
//
// There is no header: the length of a sealed blob is a function of its plain length
// (event.SealedSize), and a plain range lies in whole chunks that can be computed.
//
// Why this is sound. It is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár:
// Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, CRYPTO 2015,
// section 7) with a fixed prefix, as in age. A nonce is never used twice under one key:
// the key belongs to one blob, a blob is sealed once, each chunk has another number. A chunk
// opens only under the key of its blob, at its place, and as the last one if it was the last.
// So chunks that are changed, swapped, repeated, moved within a blob or to another
// one, or left out before the end, do not open; and a blob that is cut off does not, because
// what is then its last chunk was not sealed as that. A reader of a range learns which
// chunk is the last from the blob's size, which stands in the log: it verifies each
// chunk that it needs and knows that it is the one that belongs there. GCM's bounds are far
// away: a chunk has 2^12 blocks, a blob of 5 GiB 81,920 chunks, so that the advantage of
// an attacker against one key stays below 2^-60, and keys are independent.
//
// # Wrapped keys
//
//	wrapped:  | version 1 | id of the master secret | sealed data key |
//	            1 byte       8 bytes; 0 for SSE-C       32 + 16 bytes
//	nonce:    | 32 random bytes |
//
// A data key is sealed by AES-256-GCM with a zero nonce, under a key that is used
// for this one wrapping:
//
//	HKDF-SHA256(secret = wrapping secret, salt = nonce,
//	            info = "ironman/sse/wrap/1\0" | kind | blob | key id | context)
//
// so random nonces cannot run into GCM's bound of 2^32 messages, however many objects there
// are. Version and id are additional data. The info binds the data key to what it
// belongs to: to the blob, so that wrapped keys cannot be exchanged between blobs, and for
// SSE-KMS to the encryption context. A copy by reference is of the same blob: it may
// keep the wrapped key, or have it wrapped again under another secret.
//
// The wrapping secret is
//
//	SSE-S3    HKDF-SHA256(master, info = "ironman/sse/s3/1")
//	SSE-KMS   HKDF-SHA256(master, info = "ironman/sse/kms/1\0" | key id)
//	SSE-C     HKDF-SHA256(the client's key, salt, info = "ironman/sse/customer/1")
//
// The master secrets are in the keyring, outside of the log; the newest wraps, all unwrap.
// So a named key needs no store of its own, and nothing is handed to other nodes for a
// new one.
//
// # A client's key
//
// It is never stored. What is stored recognises a wrong one, so that it is refused
// before anything is read:
//
//	check:  | version 1 | salt | HKDF-SHA256(the client's key, salt, info = "ironman/sse/check/1") |
//	          1 byte   16 bytes                            32 bytes
//
// Outputs of HKDF under different infos are independent: the check tells nothing of the
// wrapping secret. The salt is fresh for each object or upload, so equal checks do not
// tell of equal keys. The comparison takes constant time.
package sse
