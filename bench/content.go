package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"ironman/wal/digest"
)

const (
	// period is after how many bytes an object's content repeats. It is a prime, so
	// that bytes from a wrong place, which are off by a multiple of a power of two,
	// differ from the right ones.
	period = 1<<20 + 7
	// window is how many bytes are copied or compared at once.
	window = 256 << 10
	// distinctBelow is the size up to which each key has its own content. Larger
	// objects share a few contents, whose hashes are computed before the measured time.
	distinctBelow = 64 << 10
)

// content is what all objects of a session hold: one random block, read from a place
// that follows from the key. Safe for concurrent use.
type content struct {
	block []byte // period bytes, and the first window of them again

	mu     sync.RWMutex
	hashes map[extent]string // of extents longer than distinctBelow
}

// extent is a stretch of the endlessly repeated block.
type extent struct{ start, length int64 }

func newContent(seed uint64) *content {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	block := make([]byte, period, period+window)
	_, _ = rand.NewChaCha8(key).Read(block) // never fails
	return &content{block: append(block, block[:window]...), hashes: make(map[extent]string)}
}

// variants returns how many different contents objects of a size have.
func variants(size int64) uint64 {
	switch {
	case size <= distinctBelow:
		return period
	case size <= 4<<20:
		return 64
	default:
		return 8
	}
}

// keyHash spreads keys evenly.
func keyHash(key string) uint64 {
	sum := digest.XXH3([]byte(key))
	return binary.LittleEndian.Uint64(sum[:])
}

// of returns what the object of a key and size holds.
func (c *content) of(key string, size int64) extent {
	return variant(keyHash(key)%variants(size), size)
}

func variant(v uint64, size int64) extent {
	return extent{start: int64(v * 65537 % period), length: size}
}

// part returns the stretch of e that begins at offset, in bytes.
func (e extent) part(offset, length int64) extent {
	return extent{start: (e.start + offset) % period, length: length}
}

// at returns up to n bytes of the block from a position on: never more than window.
func (c *content) at(position int64, n int) []byte {
	i := int(position % period)
	return c.block[i : i+min(n, window)]
}

// reader returns the bytes of an extent.
func (c *content) reader(e extent) io.ReadCloser {
	return &contentReader{c: c, position: e.start, left: e.length}
}

type contentReader struct {
	c              *content
	position, left int64
}

func (r *contentReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n := copy(p, r.c.at(r.position, len(p)))
	r.position += int64(n)
	r.left -= int64(n)
	return n, nil
}

func (r *contentReader) Close() error { return nil }

// hash returns the SHA-256 of an extent in hexadecimal, as a signature needs it.
func (c *content) hash(e extent) string {
	if e.length <= distinctBelow {
		sum := digest.SHA256(c.at(e.start, int(e.length)))
		return hex.EncodeToString(sum[:])
	}
	c.mu.RLock()
	h, ok := c.hashes[e]
	c.mu.RUnlock()
	if ok {
		return h
	}
	running := digest.NewSHA256()
	for position, left := e.start, e.length; left > 0; {
		b := c.at(position, int(min(left, window)))
		_, _ = running.Write(b) // never fails
		position += int64(len(b))
		left -= int64(len(b))
	}
	h = hex.EncodeToString(running.Sum(nil))
	c.mu.Lock()
	c.hashes[e] = h
	c.mu.Unlock()
	return h
}

// warm computes the hashes of all objects of a size that are sent in parts of
// partSize, in bytes.
func (c *content) warm(size, partSize int64) {
	if partSize <= distinctBelow {
		return
	}
	for v := range variants(size) {
		e := variant(v, size)
		for at := int64(0); at < size; at += partSize {
			c.hash(e.part(at, min(partSize, size-at)))
		}
	}
}

// corruption is an answer that is not what was stored.
type corruption struct {
	key  string
	what string
}

func (c *corruption) Error() string { return "wrong bytes: " + c.key + " " + c.what }

// verify reads r to its end and compares it with an extent. buf is scratch space.
func (c *content) verify(r io.Reader, key string, e extent, buf []byte) error {
	var done int64
	for {
		n, err := r.Read(buf[:min(len(buf), window)])
		if int64(n) > e.length-done {
			return &corruption{key, fmt.Sprintf("has more than its %d bytes", e.length)}
		}
		if want := c.at(e.start+done, n); !bytes.Equal(buf[:n], want) {
			i := firstDifference(buf[:n], want)
			return &corruption{key, fmt.Sprintf("differs at byte %d of %d: %#02x, not %#02x",
				done+int64(i), e.length, buf[i], want[i])}
		}
		done += int64(n)
		switch {
		case err == io.EOF && done < e.length:
			return &corruption{key, fmt.Sprintf("ends after %d of %d bytes", done, e.length)}
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// firstDifference returns where two slices of the same length begin to differ.
func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}
