package sig

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/hex"
	"hash"

	"ironman/wal/digest"
)

// chain computes the signatures of the chunks of one body, each bound to the one
// before it and the first to the request's. Decoder and encoder share it.
type chain struct {
	mac   hash.Hash // HMAC-SHA256 under the signing key
	data  hash.Hash // SHA-256 of the bytes of the current chunk
	head  []byte    // time \n scope \n
	prev  [2 * digest.SHA256Size]byte
	space []byte // reused for strings to sign
}

func newChain(s *chunkSeed) *chain {
	c := &chain{
		mac:  hmac.New(digest.NewSHA256, s.key.Reveal()),
		data: digest.NewSHA256(),
		head: []byte(s.time + "\n" + s.scope + "\n"),
	}
	copy(c.prev[:], s.signature)
	return c
}

// next signs the bytes written to data since the last call, as a chunk:
//
//	AWS4-HMAC-SHA256-PAYLOAD \n time \n scope \n previous signature \n hash of "" \n hash of data
func (c *chain) next() [2 * digest.SHA256Size]byte {
	b := append(c.space[:0], "AWS4-HMAC-SHA256-PAYLOAD\n"...)
	b = append(b, c.head...)
	b = append(b, c.prev[:]...)
	b = append(b, "\n"+emptySHA256+"\n"...)
	return c.sign(b)
}

// trailer signs the trailer whose canonical form (name:value\n) was written to data:
//
//	AWS4-HMAC-SHA256-TRAILER \n time \n scope \n previous signature \n hash of data
func (c *chain) trailer() [2 * digest.SHA256Size]byte {
	b := append(c.space[:0], "AWS4-HMAC-SHA256-TRAILER\n"...)
	b = append(b, c.head...)
	b = append(b, c.prev[:]...)
	b = append(b, '\n')
	return c.sign(b)
}

// sign completes a string to sign with the hash of data and makes its signature the
// previous one.
func (c *chain) sign(toSign []byte) [2 * digest.SHA256Size]byte {
	var sum digest.Sum
	c.data.Sum(sum[:0])
	c.data.Reset()
	c.space = hex.AppendEncode(toSign, sum[:])
	c.mac.Reset()
	c.mac.Write(c.space)
	c.mac.Sum(sum[:0])
	hex.Encode(c.prev[:], sum[:])
	return c.prev
}

// matches compares in constant time.
func matches(computed [2 * digest.SHA256Size]byte, claimed []byte) bool {
	return subtle.ConstantTimeCompare(computed[:], claimed) == 1
}
