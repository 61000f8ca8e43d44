package offline

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/fsm"
	"ironman/server/audit"
	"ironman/wal/ledger"
	"ironman/wal/overlay"
)

// signed says who signs the ledger of a node whose directory is dir: the newest epoch that
// its events have begun or, where the checkpoint is of one whose beginning is not archived
// yet, the one that the node's state has.
func signed(files vfs.FS, dir string, fatal func(error)) (o ledger.Options, err error) {
	o = ledger.Options{FS: files, Dir: files.PathJoin(dir, "wal", "ledger"), ReadOnly: true, Fatal: fatal}
	c := &fsm.Cluster{}
	_, err = ledger.SignedIn(files, o.Dir)
	if errors.Is(err, ledger.ErrSignature) {
		c, err = clusterOf(files, dir, fatal)
	} else if err == nil {
		c, err = named(files, o.Dir)
	}
	if err != nil {
		return o, err
	}
	key, err := note.NewVerifier(c.LedgerKey)
	if err != nil {
		return o, err
	}
	o.Origin, o.Verifiers = c.LedgerOrigin, note.VerifierList(key)
	o.Past, err = audit.PastEpochs(c)
	return o, err
}

// named are the epochs that a ledger's events have begun, as a state has them.
func named(files vfs.FS, dir string) (*fsm.Cluster, error) {
	all, err := ledger.Epochs(files, dir)
	if err != nil {
		return nil, err
	}
	c := &fsm.Cluster{}
	for i, e := range all {
		if i > 0 {
			c.PastEpochs = append(c.PastEpochs, &fsm.PastEpoch{LedgerOrigin: c.LedgerOrigin, LedgerKey: c.LedgerKey, End: e.From})
		}
		c.LedgerOrigin, c.LedgerKey = e.Origin, e.Key
	}
	return c, nil
}

// clusterOf reads the row of the cluster in a node's state.
func clusterOf(files vfs.FS, dir string, fatal func(error)) (c *fsm.Cluster, err error) {
	m, err := fsm.Open(fsm.Options{FS: overlay.New(files), Dir: files.PathJoin(dir, "state"), Fatal: fatal, Still: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	v, err := m.View()
	if err != nil {
		return nil, err
	}
	c, err = v.Cluster()
	if err = errors.Join(err, v.Close()); err == nil && c == nil {
		err = fmt.Errorf("the state of %s knows of no cluster", dir)
	}
	return c, err
}
