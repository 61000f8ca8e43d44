package s3api

import (
	"sync"

	"ironman/wal/digest"
)

// parsedCacheBytes bounds the texts of the documents in one half of a cache. What is
// parsed can take fifty times as much, at worst.
const parsedCacheBytes = 1 << 20

// parsedCache keeps parsed documents of buckets by the hash of their text, so that a
// request parses nothing. A text always means the same: no entry is ever wrong. When the
// younger half is full the older one is dropped, and with it what nobody asks for. Safe
// for concurrent use; what it gives must not be changed.
type parsedCache[T any] struct {
	read func(text []byte) (*T, error)

	mu             sync.Mutex
	younger, older map[digest.Sum]*T
	bytes          int // of the texts in younger
}

// parse gives a document by its text. Nothing is kept of an error.
func (c *parsedCache[T]) parse(text []byte) (*T, error) {
	key := digest.SHA256(text)
	c.mu.Lock()
	p := c.younger[key]
	if p == nil {
		if p = c.older[key]; p != nil {
			c.keep(key, p, len(text))
		}
	}
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := c.read(text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(key, p, len(text))
	return p, nil
}

func (c *parsedCache[T]) keep(key digest.Sum, p *T, size int) {
	if c.younger == nil || c.bytes+size > parsedCacheBytes {
		c.younger, c.older, c.bytes = make(map[digest.Sum]*T), c.younger, 0
	}
	if c.younger[key] == nil {
		c.bytes += size
	}
	c.younger[key] = p
}
