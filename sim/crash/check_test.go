package crash

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"ironman/sim/offline"
)

// serves checks that a node which has started shows what was acknowledged, and takes
// what is new.
func (p *process) serves() error {
	seen, err := p.look()
	if err != nil {
		return err
	}
	if err := know(p.history.now()).allows(seen); err != nil {
		return err
	}
	p.history.add(fact{seen: seen})
	if seen["/"+bucket] == "" {
		p.ask(200, set("/"+bucket, "bucket"), "PUT", "/"+bucket, nil)
	}
	if tag := seen["part whole"]; tag != "" {
		p.complete("whole", p.uploads["whole"], tag, wholeValue)
	}
	key, value := fmt.Sprintf("mark/%d", p.depth), fmt.Sprintf("mark%d.5000", p.depth)
	p.put(key, value)
	if got, err := p.get(key); err != nil || got != value {
		return fmt.Errorf("I1: %s is %q, not %q: %w", key, got, value, err)
	}
	return nil
}

// settles waits until nothing is left to do, closes the node, and checks what its
// disks hold then.
func (p *process) settles() error {
	p.collects()
	erased, err := p.erased()
	if err != nil {
		return err
	}
	s, err := p.node.Status()
	if err != nil {
		return err
	}
	for _, d := range s.Disks {
		if d.Failure != "" {
			return fmt.Errorf("I1: disk %d: %s", d.Number, d.Failure)
		}
	}
	if err := p.close(); err != nil {
		return err
	}
	files := p.disk.Kill()
	files.Detach()
	var errs []error
	fatal := func(err error) { errs = append(errs, err) }
	want := offline.Agreed{Events: s.Events, StateDigest: s.StateDigest, LedgerRoot: s.LedgerRoot}
	if erased {
		err = checkErased(files, want)
	} else if _, err = offline.Replay(files, nodeDir, want, false, fatal); err != nil {
		err = fmt.Errorf("C2: %w", err)
	}
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if err := leftovers(files); err != nil { // before the disks are opened, which makes packs
		return err
	}
	m := offline.Machine{FS: files, Node: 1, Dir: nodeDir}
	for i := range diskCount {
		m.Disks = append(m.Disks, diskDir(i))
	}
	_, _, err = offline.Shards([]offline.Machine{m}, packBytes, func(checker, format string, args ...any) {
		fatal(fmt.Errorf(checker+": "+format, args...))
	})
	return errors.Join(append(errs, err)...)
}

// collects lets the collectors do all that they have to.
func (p *process) collects() {
	p.clock.advance(retention + grace + time.Second)
	time.Sleep(4 * time.Second)  // history and bodies go
	time.Sleep(31 * time.Second) // which packs are empty was seen
	p.clock.advance(16 * time.Minute)
	time.Sleep(31 * time.Second)
}

// isFiller tells whether an upload is there for its event alone.
func isFiller(key string) bool { return strings.HasPrefix(key, "filler/") }
