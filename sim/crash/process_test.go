package crash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"ironman/server"
	"ironman/sim/disk"
)

const (
	volumeNode = "/node"
	nodeDir    = volumeNode + "/new/dir"
	diskCount  = 3
	packBytes  = 192 << 10

	retention = 5 * time.Second
	// ownRetention is that of the bucket.
	ownRetention = 3 * time.Second
	grace        = 2 * time.Second
)

func diskDir(slot int) string { return fmt.Sprintf("/disk%d/new/shards", slot+1) }

// newDisk is that of a machine that was never on.
func newDisk(rng *rand.Rand) *disk.Disk {
	c := disk.Config{Volumes: []disk.Mount{{Path: volumeNode, Capacity: 1 << 30}}}
	for i := range diskCount {
		c.Volumes = append(c.Volumes, disk.Mount{Path: fmt.Sprintf("/disk%d", i+1), Capacity: 1 << 30})
	}
	return disk.New(rng, c)
}

// clock of a machine: it goes on where it stood when the power was cut.
type clock struct {
	mu   sync.Mutex
	base time.Time
	from time.Time // of the bubble's time
}

func newClock(at time.Time) *clock { return &clock{base: at, from: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Add(time.Since(c.from))
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = c.base.Add(d)
}

// process is one start of the node, in a bubble of virtual time.
type process struct {
	node    *server.Node
	disk    *disk.Disk
	clock   *clock
	history *history
	logger  *slog.Logger
	depth   int               // how often the node ended before
	uploads map[string]string // ids of those that were seen to be open, by key
	// failed is told of what must not be, before the process is left as it is.
	failed func(error)
	// outside was made outside of the bubble, and nobody sends: who waits for it keeps
	// the bubble's time from passing.
	outside chan struct{}
}

// fail ends the calling goroutine for ever. The bubble stands still with it: the
// goroutine waits for something outside.
func (p *process) fail(err error) {
	p.failed(err)
	<-p.outside
}

// openLimit is how long a start may take, in virtual time.
const openLimit = time.Minute

func (p *process) start() error {
	o := server.Options{
		FS: p.disk, Dir: nodeDir, RootAccessKey: rootKey, RootSecretKey: rootSecret,
		HistoryRetention: retention, ReleaseGrace: grace, Now: p.clock.now, Logger: p.logger,
		Fatal:        func(err error) { p.fail(fmt.Errorf("I12: the node ends itself: %w", err)) },
		Restart:      func(reason string) { p.fail(errors.New("I12: the node restarts: " + reason)) },
		SegmentBytes: 64 << 10, SnapshotEntries: 120, PackBytes: packBytes,
	}
	for i := range diskCount {
		o.Disks = append(o.Disks, diskDir(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), openLimit)
	defer cancel()
	n, err := server.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("I12: the node does not start: %w", err)
	}
	p.node = n
	return nil
}

func (p *process) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return p.node.Close(ctx)
}
