// Package checksum computes and checks the integrity of object bodies: the MD5 that
// is the entity tag, the one checksum a client may ask for (CRC32, CRC32C, CRC64NVME,
// SHA-1, SHA-256) and a second one that the store wants for itself, and what those of
// parts become when an upload is completed.
//
// It knows headers, trailers and bytes. It knows no signatures, no HTTP status and no
// storage; that a body was read whole is its source's promise.
//
// How the hashing runs. MD5 (about 0.6 GB/s on a core) is the slowest thing on the
// path of a PUT, everything else together is faster than it. So MD5 alone leaves the
// reading goroutine; the other lanes (CRCs above 20 GB/s, SHA above 1.6 GB/s) run
// where the bytes pass by. Two ways to feed it:
//
//   - Reader, for a consumer that knows nothing but io.Reader. A caller of Read may
//     overwrite its buffer at once, so MD5 needs bytes of its own: each Read copies
//     into pooled blocks, which MD5 hashes behind the reader's back, up to 1 MiB
//     late. The copy costs a few per cent of the MD5 it hides, and no byte is copied for
//     the other lanes. While MD5 works, the consumer reads the socket and encodes.
//   - Digests.Begin, for a consumer that owns its buffers and reads them only: it
//     hashes the consumer's own bytes beside it, without a copy, until the Ticket says
//     that they may change.
//
// A body of up to 64 KiB is hashed where it is, without blocks or goroutines.
//
// Invariants:
//   - Sums are of exactly the bytes that passed, in their order.
//   - No goroutine waits for its consumer: each hashes one block and ends, so that a
//     Reader may be dropped at any time.
//   - A checksum that was declared is either compared or an error.
package checksum
