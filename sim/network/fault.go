package network

// Fault is one kind of harm, and how often it has struck: how many segments,
// dials or connections it has stopped, delayed, changed or ended. A fault that was
// ordered and met nothing has struck nothing.
type Fault struct {
	ID    string // of the fault table
	Name  string
	Count uint64
}

// fault is an index into the table. The zero value is no fault.
type fault uint8

const (
	noFault        fault = iota
	faultOneWay          // F-N1; of replies: F-N4
	faultBothWays        // F-N1
	faultIsolated        // F-N1
	faultPartition       // F-N1
	faultBridge          // F-N1
	faultClog            // F-N1 (swizzle-clog) and F-N2 (delay)
	faultLoss            // F-N2
	faultSlow            // F-N2
	faultCorrupt         // F-N2
	faultSplit           // F-N2
	faultReset           // F-N3; in the middle of a frame: F-N2
	faultBlackhole       // F-N3
	faultTimeout         // F-N3
	faultRefuse          // F-N3
	faultExhaust         // F-N3
	faultPort            // F-N5
	faultKind            // F-N5
	faultKill            // F-P2
	faultPowerOff        // F-P2
	faultPause           // F-P4
	faults               // how many
)

// Faults lists all kinds in a fixed order.
func (n *Network) Faults() []Fault {
	list := [faults]Fault{
		faultOneWay:    {ID: "F-N1", Name: "blocked one way"},
		faultBothWays:  {ID: "F-N1", Name: "blocked both ways"},
		faultIsolated:  {ID: "F-N1", Name: "isolated"},
		faultPartition: {ID: "F-N1", Name: "partition"},
		faultBridge:    {ID: "F-N1", Name: "bridge"},
		faultClog:      {ID: "F-N1", Name: "clogged"},
		faultLoss:      {ID: "F-N2", Name: "lost"},
		faultSlow:      {ID: "F-N2", Name: "slow path"},
		faultCorrupt:   {ID: "F-N2", Name: "corrupted"},
		faultSplit:     {ID: "F-N2", Name: "split"},
		faultReset:     {ID: "F-N3", Name: "reset"},
		faultBlackhole: {ID: "F-N3", Name: "blackhole"},
		faultTimeout:   {ID: "F-N3", Name: "timed out"},
		faultRefuse:    {ID: "F-N3", Name: "refused"},
		faultExhaust:   {ID: "F-N3", Name: "ports exhausted"},
		faultPort:      {ID: "F-N5", Name: "port blocked"},
		faultKind:      {ID: "F-N5", Name: "kind of connections blocked"},
		faultKill:      {ID: "F-P2", Name: "killed"},
		faultPowerOff:  {ID: "F-P2", Name: "powered off"},
		faultPause:     {ID: "F-P4", Name: "paused"},
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range list {
		list[i].Count = n.counts[i]
	}
	return list[noFault+1:]
}

// struck counts that a fault has met something.
func (n *Network) struck(f fault) { n.counts[f]++ }
