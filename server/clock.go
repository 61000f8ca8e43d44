package server

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// maxClockError is how far a node's clock may be off the median of the voters'
// clocks. A node that is farther off neither leads nor takes writes: the leader's
// clock becomes log time, by which retention and locks are judged, and log time
// never goes back.
const maxClockError = 5 * time.Second

// judgeClock says what is wrong with this node's clock, by what the other voters
// show: offsets are theirs minus ours. voters is the number of voters, this node
// included. Fewer than a majority say nothing about anybody's clock; of two that
// differ, neither can be trusted.
func judgeClock(offsets []time.Duration, voters int) error {
	if voters <= 1 {
		return nil
	}
	all := append([]time.Duration{0}, offsets...)
	if len(all) <= voters/2 {
		return fmt.Errorf("only %d of %d voters' clocks can be seen: this node's cannot be judged", len(all), voters)
	}
	slices.Sort(all)
	low, high := all[(len(all)-1)/2], all[len(all)/2]
	if high-low > maxClockError {
		return fmt.Errorf("the clocks of the voters differ by %v, and there is no majority to tell which is right", (high - low).Round(time.Millisecond))
	}
	median := low + (high-low)/2
	switch {
	case median > maxClockError:
		return fmt.Errorf("this node's clock is %v behind the median of the voters", median.Round(time.Millisecond))
	case median < -maxClockError:
		return fmt.Errorf("this node's clock is %v ahead of the median of the voters", (-median).Round(time.Millisecond))
	}
	return nil
}

// clockPatience is how long a start waits to see other nodes' clocks.
const clockPatience = 3 * time.Second

// awaitClocks returns once enough of the others' clocks can be seen to judge this
// node's: until then it would refuse writes, and must not say that it is ready. It
// gives up after a while, for a node can be asked what is wrong with it.
func (n *Node) awaitClocks(ctx context.Context) error {
	limit := time.NewTimer(clockPatience)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		seen, others := 0, n.others()
		for _, m := range others {
			if p, ok := n.peer(m.Node); ok && p.Measured {
				seen++
			}
		}
		if seen+1 > (len(others)+1)/2 {
			n.clock.Store(nil) // the last verdict was without them
			return nil
		}
		select {
		case <-tick.C:
		case <-limit.C:
			n.opts.Logger.Warn("the clocks of too few nodes can be seen to judge this one's", "seen", seen, "others", len(others))
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
