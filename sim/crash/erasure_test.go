package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/sim/offline"
)

// erasedKey is put, replaced, deleted, and then its name is erased from the record.
const erasedKey = "erased/4b1d0f6c-which-must-be-in-no-file"

// eraseLimit is how long that may take, in virtual time.
const eraseLimit = 3 * time.Minute

// erase has the name erased once history is over, and waits until it is done.
func (p *process) erase() {
	p.clock.advance(retention + grace + time.Second)
	var err error
	for end := time.Now().Add(eraseLimit); time.Now().Before(end); time.Sleep(time.Second) {
		var plan *server.ErasePlan
		plan, err = p.node.Erase(context.Background(), &server.Erase{Bucket: bucket, Keys: []string{erasedKey}}, func(uint64, uint64) {})
		switch {
		case err == nil && len(plan.Erasures) == 0:
			p.fail(fmt.Errorf("C7: nothing is recorded of %s", erasedKey))
		case err == nil:
			if _, err := p.erased(); err != nil {
				p.fail(err)
			}
			files := p.disk.Kill() // a copy; later starts may tidy up
			files.Detach()
			if err := nowhere(files); err != nil {
				p.fail(err)
			}
			return
		case !strings.Contains(err.Error(), "history"):
			p.fail(fmt.Errorf("I12: an erasure: %w", err))
		}
	}
	p.fail(fmt.Errorf("I12: an erasure: %w", err))
}

// erased waits until what was to be erased is; false if nothing was.
func (p *process) erased() (bool, error) {
	said := "nothing"
	for end := time.Now().Add(eraseLimit); time.Now().Before(end); time.Sleep(time.Second) {
		all, err := p.node.Erasures(context.Background())
		switch {
		case err != nil:
			said = err.Error()
		case len(all.Erasures) == 0:
			return false, nil
		case all.Done():
			return true, nil
		default:
			said = fmt.Sprintf("%+v", *all)
		}
	}
	return true, fmt.Errorf("I20: an erasure is not done: %s", said)
}

// checkErased replays what is left of the record, and looks for the name in all files.
func checkErased(files vfs.FS, want offline.Agreed) error {
	if err := offline.ReplayErased(files, nodeDir, want); err != nil {
		return fmt.Errorf("C2: %w", err)
	}
	return nowhere(files)
}

// nowhere looks for the name in all files.
func nowhere(files vfs.FS) error {
	found, err := offline.Find(files, nodeDir, []string{erasedKey, bucket})
	switch {
	case err != nil:
		return err
	case len(found[bucket]) == 0:
		return errors.New("I20: the bucket's name is not found either: nothing is proven")
	case len(found[erasedKey]) > 0:
		return fmt.Errorf("I20: what was erased is in %v", found[erasedKey])
	}
	return nil
}
