package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificate is a key pair that is read again when its file changes.
type certificate struct {
	cert, key string

	mu      sync.Mutex
	checked time.Time
	written time.Time // modification time of cert when it was read
	pair    *tls.Certificate
}

// recheck is how often the file is looked at.
const recheck = 5 * time.Second

// get is tls.Config.GetCertificate. A pair that cannot be read leaves the last
// good one in place.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && time.Since(c.checked) < recheck {
		return c.pair, nil
	}
	c.checked = time.Now()
	info, err := os.Stat(c.cert)
	if err == nil && c.pair != nil && info.ModTime().Equal(c.written) {
		return c.pair, nil
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			c.pair, c.written = &pair, info.ModTime()
			return c.pair, nil
		}
	}
	if c.pair != nil {
		return c.pair, nil
	}
	return nil, fmt.Errorf("--tls-cert: %w", err)
}
