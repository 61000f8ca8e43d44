package server_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// chaosNode is a node with a supervisor, which starts its process again whenever it
// has ended, unless a fault keeps it down. Safe for concurrent use.
type chaosNode struct {
	c   *chaos
	n   int // from 0
	p   *process
	rng *rand.Rand // of the supervisor

	mu      sync.Mutex
	run     *chaosProcess // nil: none runs
	holds   int           // faults that keep it down
	excuses []string      // faults because of which its process may end by itself, or not start
	next    string        // failpoint of the next start; empty: none
	clock   time.Duration // offset of the clock of its starts
	wrong   time.Time     // when a process with a wrong clock was last seen to run
	busy    [2]bool       // disks that a fault is at
	marked  bool          // a fault is at the directory of log and state
	over    bool          // it is not started again
	starts  int
	later   sync.WaitGroup // starts that are to come
}

// chaosProcess is one run of a node's program.
type chaosProcess struct {
	cmd       *exec.Cmd
	began     time.Time
	log       int // where its log begins in that of the node
	failpoint string
	met       bool // the failpoint ended it
	killed    bool // somebody kills it, whoever else ends it in order
	clock     time.Duration
	old       bool          // it is of the older release
	ending    bool          // somebody ends it
	done      chan struct{} // closed when it has ended, and the next start is arranged
}

// start starts the node's process, unless it runs or is kept down.
func (n *chaosNode) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run != nil || n.holds > 0 || n.over {
		return
	}
	flags := []string{"--disk-marks"}
	r := &chaosProcess{began: time.Now(), log: n.p.log.size(), clock: n.clock, failpoint: n.next, done: make(chan struct{})}
	if n.next != "" {
		flags = append(flags, "--failpoint", n.next)
	}
	if n.clock != 0 {
		flags = append(flags, "--clock-offset", n.clock.String())
	}
	n.next = ""
	n.p.binary = ""
	if r.old = n.chooseOld(); r.old {
		n.p.binary = n.c.spec.old
		if !n.c.oldMarks {
			flags = flags[1:]
		}
	}
	n.starts++
	if err := n.p.launch(flags...); err != nil {
		n.c.violated("I12", "node %d cannot be launched: %v", n.n+1, err)
		return
	}
	r.cmd = n.p.cmd
	n.run = r
	go n.watch(r, n.p.exited)
}

// chooseOld lets a start be one of the older release, if there is one (P7). The last
// node stays with it until everything heals: so no event is made that the older release
// cannot read.
func (n *chaosNode) chooseOld() bool {
	if n.c.spec.old == "" || n.c.healing.Load() || n.n < 2 && n.rng.IntN(2) == 0 {
		return false
	}
	n.c.fired("P7", "a start with the older release")
	return true
}

// watch waits for the end of a process, judges it, and starts the next one.
func (n *chaosNode) watch(r *chaosProcess, exited chan error) {
	err := <-exited
	exited <- err
	n.mu.Lock()
	defer n.mu.Unlock()
	defer close(r.done)
	n.run = nil
	said := n.p.log.from(r.log)
	r.met = r.failpoint != "" && strings.Contains(said, "failpoint "+r.failpoint+": killed in ")
	switch {
	case r.met:
		name, _, _ := strings.Cut(r.failpoint, ":")
		n.c.fired("P1", "killed inside a write of "+name)
		n.c.moment("node %d: its failpoint %s was met", n.n+1, r.failpoint)
	case r.ending:
	case len(n.excuses) > 0:
		n.c.moment("node %d ended by itself (%v), which %s excuses", n.n+1, err, strings.Join(n.excuses, ", "))
	default:
		n.c.violated("I12", "node %d ended by itself: %v\n%s", n.n+1, err, said[max(0, len(said)-2000):])
	}
	n.later.Go(func() {
		time.Sleep(time.Duration(100+rand.IntN(500)) * ms)
		n.start()
	})
}

// hold keeps the node down from its next end on; release ends that.
func (n *chaosNode) hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holds++
}

func (n *chaosNode) release() {
	n.mu.Lock()
	n.holds--
	n.mu.Unlock()
	n.start()
}

// current is the process that runs; nil if none does. end: it is about to be ended.
func (n *chaosNode) current(end bool) *chaosProcess {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run != nil && end {
		n.run.ending = true
	}
	return n.run
}

// mustEndCleanly tells whether nothing excuses another end of a process after SIGTERM.
func (n *chaosNode) mustEndCleanly(r *chaosProcess) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !r.killed && !r.met && len(n.excuses) == 0
}

// kill ends the process by SIGKILL, and tells whether one ran.
func (n *chaosNode) kill() bool {
	r := n.current(true)
	if r == nil {
		return false
	}
	n.mu.Lock()
	r.killed = true
	n.mu.Unlock()
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.done
	return true
}

// stopLimit is how long a node may take to end in order: its own limit, and some more
// on a busy machine.
const stopLimit = 60 * time.Second

// stop ends the process by SIGTERM. One that serves must end cleanly.
func (n *chaosNode) stop() bool {
	r := n.current(true)
	if r == nil {
		return false
	}
	served := n.serving()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(stopLimit):
		n.c.violated("I14", "node %d does not end within %v of SIGTERM", n.n+1, stopLimit)
		_ = r.cmd.Process.Signal(syscall.SIGABRT) // its log tells where it hangs
		<-r.done
		return true
	}
	if code := r.cmd.ProcessState.ExitCode(); served && code != 0 && n.mustEndCleanly(r) {
		n.c.violated("I14", "node %d ended with %v after SIGTERM", n.n+1, r.cmd.ProcessState)
	}
	return served
}

// bounce restarts the node in order, as an operator does who has put a disk back.
func (n *chaosNode) bounce() {
	n.hold()
	n.stop()
	n.release()
}

// serving tells whether the process of now has said that it serves.
func (n *chaosNode) serving() bool {
	_, err := os.Stat(n.p.readyFile())
	return err == nil && n.current(false) != nil
}

func (n *chaosNode) excuse(fault string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.excuses = append(n.excuses, fault)
}

// pardon ends an excuse, once what the fault did can be over.
func (n *chaosNode) pardon(fault string) {
	time.Sleep(2 * time.Second)
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.excuses, fault); i >= 0 {
		n.excuses = slices.Delete(n.excuses, i, i+1)
	}
}

// signal sends a signal to the process, if there is one.
func (n *chaosNode) signal(s os.Signal) bool {
	r := n.current(false)
	return r != nil && r.cmd.Process.Signal(s) == nil
}

// clockWrong tells whether its clock is wrong, or was a moment ago.
func (n *chaosNode) clockWrong() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run != nil && n.run.clock != 0 || n.clock != 0 {
		n.wrong = time.Now()
	}
	return !n.wrong.IsZero() && time.Since(n.wrong) < 10*time.Second
}

// finish stops the node for good, and waits for its supervisor.
func (n *chaosNode) finish() {
	n.mu.Lock()
	n.over = true
	n.mu.Unlock()
	n.stop()
	n.later.Wait()
}
