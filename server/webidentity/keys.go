package webidentity

import (
	"context"
	"crypto/rsa"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// fresh is how long keys are kept before they are read again, stale how long they
	// serve where they cannot be.
	fresh, stale = time.Hour, 24 * time.Hour
	// rest is the least time between two readings: whoever sends tokens of keys that are
	// not there does not make the node ask for them each time.
	rest = 10 * time.Second
	// maxKeys bounds how many of a provider's keys are kept, maxTried how many are tried on
	// a token that names none.
	maxKeys, maxTried = 100, 10
)

// key is what is kept of a JSON Web Key.
type key struct {
	id, algorithm string
	public        any
}

// take keeps what a JSON Web Key says, if it is one that may have signed a token.
func take(k *jose.JSONWebKey) (key, bool) {
	ok := k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig")
	if r, is := k.Key.(*rsa.PublicKey); is {
		// With large exponents a signature takes long to verify.
		ok = ok && r.N.BitLen() >= 2048 && r.E < 1<<25
	}
	return key{k.KeyID, k.Algorithm, k.Key}, ok
}

// keys are those of a provider, as they were read last.
type keys struct {
	from  *source
	now   func() time.Time
	log   *slog.Logger
	slots chan struct{} // holds one for each reading under way, of all providers

	mu          sync.Mutex
	set         []key
	read, tried time.Time
	failure     error         // of the last reading
	reading     chan struct{} // closed when the reading under way has ended; nil: none is
}

// candidates are the keys that may have signed a token: those of the id, or, without
// one, some. A key that is not known may be new. Whoever finds what it needs does not
// wait; the others wait for one reading, until their ctx ends.
func (k *keys) candidates(ctx context.Context, id string) ([]key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		found, now := k.find(id), k.now()
		if len(found) > 0 && now.Sub(k.read) < fresh {
			return found, nil
		}
		if k.reading == nil && (k.tried.IsZero() || now.Sub(k.tried) >= rest) {
			k.begin(now)
		}
		if k.reading == nil {
			if k.failure != nil && now.Sub(k.read) >= stale {
				return nil, k.failure
			}
			return found, nil
		}
		done := k.reading
		k.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
		}
		k.mu.Lock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// begin begins a reading, which goes on without whoever wanted it; k.mu is held.
func (k *keys) begin(now time.Time) {
	done := make(chan struct{})
	k.tried, k.reading = now, done
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		set, err := k.fetch(ctx)
		if err != nil {
			k.log.Warn("web identity: the keys of a provider cannot be read", "issuer", k.from.issuer, "err", err)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failure = err; err == nil {
			k.set, k.read = set, now
		}
		k.reading = nil
		close(done)
	}()
}

func (k *keys) fetch(ctx context.Context) ([]key, error) {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return k.from.keys(ctx)
}

// idle reports since when nobody has wanted them; false: they are being read.
func (k *keys) idle() (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tried, k.reading == nil
}

func (k *keys) find(id string) []key {
	if id == "" {
		return k.set[:min(len(k.set), maxTried)]
	}
	var out []key
	for _, x := range k.set {
		if x.id == id {
			out = append(out, x)
		}
	}
	return out
}
