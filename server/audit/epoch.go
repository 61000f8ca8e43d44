package audit

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"ironman/fsm"
	"ironman/wal/ledger"
)

// PastEpochs are the epochs of a ledger that are over, by a state.
func PastEpochs(c *fsm.Cluster) (past []ledger.Past, err error) {
	for _, p := range c.GetPastEpochs() {
		v, err := note.NewVerifier(p.LedgerKey)
		if err != nil {
			return nil, fmt.Errorf("audit: the verifier key %q of a past epoch: %w", p.LedgerKey, err)
		}
		past = append(past, ledger.Past{Origin: p.LedgerOrigin, Verifiers: note.VerifierList(v), End: p.End})
	}
	return past, nil
}

// newestEpoch brings the state up to what the ledger has, and takes origin and key from it:
// those of the newest epoch. That the record names them, too, is for Verify to say.
func (n *Node) newestEpoch() (err error) {
	if _, err := n.genesis(); err != nil {
		return err
	}
	if err := n.catchUp(); err != nil {
		return err
	}
	v, err := n.machine.View()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c, err := v.Cluster()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if c == nil {
		return errors.New("audit: events are recorded, and the node's state knows of no cluster")
	}
	n.Origin, n.Key = c.LedgerOrigin, c.LedgerKey
	n.past, err = PastEpochs(c)
	return err
}

// otherKey says that a ledger must be signed with a key that is not its own.
func (n *Node) otherKey(key string) error {
	if v, err := note.NewVerifier(key); err == nil {
		for _, p := range n.past {
			if p.Origin == v.Name() {
				return fmt.Errorf("audit: the ledger was signed as %q for its first %d events at most; since then it goes on in another epoch, with the key %s", p.Origin, p.End, n.Key)
			}
		}
	}
	return fmt.Errorf("audit: the ledger names another key than the one that it must be signed with: %s", n.Key)
}

// named makes sure that the record names the origin and the key that the state has: epochs
// are those that the archive's events begin.
func (n *Node) named(epochs []ledger.Epoch) error {
	for i := range n.tail {
		e, err := ledger.EpochOf(&n.tail[i])
		if err != nil {
			return &ledger.Damage{Seq: n.tail[i].Seq, Err: err}
		}
		if e != nil {
			epochs = append(epochs, *e)
		}
	}
	found, err := newest(epochs, n.Origin, n.Key)
	if err == nil && !found {
		err = &ledger.Damage{Err: fmt.Errorf("the ledger is signed as %q, which no event begins", n.Origin)}
	}
	return err
}

// newest makes sure that an origin is that of no epoch but the newest, and that the key is
// its key; not found: none of the epochs has it, as where a ledger ends before its epoch
// begins.
func newest(epochs []ledger.Epoch, origin, key string) (found bool, err error) {
	for i, e := range epochs {
		switch {
		case e.Origin != origin:
		case i+1 < len(epochs):
			return false, &ledger.Damage{Seq: epochs[i+1].From, Err: fmt.Errorf("the ledger is signed as %q, and with this event it went on as %q", origin, epochs[i+1].Origin)}
		case e.Key != key:
			return false, &ledger.Damage{Seq: e.From, Err: fmt.Errorf("the event names the key %s, the ledger is signed with %s", e.Key, key)}
		default:
			return true, nil
		}
	}
	return false, nil
}
