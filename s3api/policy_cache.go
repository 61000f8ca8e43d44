package s3api

import (
	"sync"

	"ironman/s3api/policy"
	"ironman/wal/digest"
)

// policyCacheBytes bounds the texts of the policies in one half of the cache. What is
// parsed can take fifty times as much, at worst.
const policyCacheBytes = 1 << 20

// policyCache keeps parsed policies of buckets by the hash of their text, so that a
// request parses nothing. A text always means the same: no entry is ever wrong. When the
// younger half is full the older one is dropped, and with it what nobody asks for.
type policyCache struct {
	mu             sync.Mutex
	younger, older map[digest.Sum]*policy.Policy
	bytes          int // of the texts in younger
}

// parse gives a policy by its text. Nothing is kept of an error.
func (c *policyCache) parse(text []byte) (*policy.Policy, error) {
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
	p, err := policy.Parse(text, policy.Bucket)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(key, p, len(text))
	return p, nil
}

func (c *policyCache) keep(key digest.Sum, p *policy.Policy, size int) {
	if c.younger == nil || c.bytes+size > policyCacheBytes {
		c.younger, c.older, c.bytes = make(map[digest.Sum]*policy.Policy), c.younger, 0
	}
	if c.younger[key] == nil {
		c.bytes += size
	}
	c.younger[key] = p
}
