package sig

import (
	"crypto/hmac"
	"strings"
	"sync"

	"ironman/wal/digest"
)

const (
	algorithmV4 = "AWS4-HMAC-SHA256"
	serviceS3   = "s3"
	terminator  = "aws4_request"
)

func hmacSHA256(key []byte, data string) digest.Sum {
	m := hmac.New(digest.NewSHA256, key)
	m.Write([]byte(data))
	var k digest.Sum
	m.Sum(k[:0])
	return k
}

// deriveKey derives the signing key, which is good for one date, region and service
// ("Calculate the signature", task 3).
func deriveKey(secret Secret, date, region, service string) Secret {
	first := append([]byte("AWS4"), secret.Reveal()...)
	k := hmacSHA256(first, date)
	clear(first)
	k = hmacSHA256(k[:], region)
	k = hmacSHA256(k[:], service)
	k = hmacSHA256(k[:], terminator)
	return NewSecret(k[:])
}

// maxKeys bounds each of the two generations of a keyCache.
const maxKeys = 2048

// keyCache remembers derived signing keys. A key is found only together with the
// secret it was derived from, so a secret that was replaced is never used again.
// When the young generation is full it becomes the old one. Safe for concurrent use.
type keyCache struct {
	mu         sync.RWMutex
	young, old map[keyName]keyEntry
}

type keyName struct{ accessKey, date, region, service string }

type keyEntry struct{ secret, key Secret }

// get returns the signing key of a secret, derived now or before. accessKey is
// empty for the stand-in of an unknown key, so that strangers fill no memory.
func (c *keyCache) get(accessKey string, secret Secret, date, region string) Secret {
	return c.of(accessKey, secret, date, region, serviceS3)
}

// of is get for another service than S3.
func (c *keyCache) of(accessKey string, secret Secret, date, region, service string) Secret {
	name := keyName{accessKey, date, region, service}
	c.mu.RLock()
	e, ok := c.young[name]
	stale := !ok
	if stale {
		e, ok = c.old[name]
	}
	c.mu.RUnlock()
	if ok && e.secret.Equal(secret) {
		if stale {
			c.put(name, e)
		}
		return e.key
	}
	k := deriveKey(secret, date, region, service)
	c.put(name, keyEntry{secret: secret, key: k})
	return k
}

func (c *keyCache) put(name keyName, e keyEntry) {
	// The names are parts of a request's headers, which must not be kept alive.
	name = keyName{strings.Clone(name.accessKey), strings.Clone(name.date), strings.Clone(name.region), strings.Clone(name.service)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= maxKeys {
		c.young, c.old = make(map[keyName]keyEntry), c.young
	}
	c.young[name] = e
}
