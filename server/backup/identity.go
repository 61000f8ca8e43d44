package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Source is what is backed up: a cluster, in an epoch of its ledger. Within one, history is
// one line, and sequences and ids of blobs mean one thing only.
type Source struct {
	Cluster string `json:"cluster"`       // its id, hexadecimal
	Origin  string `json:"ledger_origin"` // of the checkpoints
	Key     string `json:"ledger_key"`    // the verifier key (C2SP signed-note)
}

func (s *Source) check() error {
	if b, err := hex.DecodeString(s.Cluster); err != nil || len(b) != 16 {
		return fmt.Errorf("the cluster's id %q is none", s.Cluster)
	}
	if s.Origin == "" || s.Key == "" || len(s.Origin)+len(s.Key) > 4096 || strings.ContainsAny(s.Origin+s.Key, "\r\n") {
		return errors.New("the ledger has no origin, or no key")
	}
	return nil
}

// identity is what backup.json holds.
type identity struct {
	Format int `json:"format"`
	Source
}

const (
	identityName   = "backup.json"
	identityFormat = 1
)

// SourceOf tells whose backups a target holds; ErrNotFound: nobody's yet.
func SourceOf(ctx context.Context, t Target) (Source, error) {
	id := &identity{}
	err := readSealed(ctx, t, identityName, id)
	if err == nil && id.Format != identityFormat {
		err = newer(identityName, id.Format)
	}
	if err == nil {
		if why := id.check(); why != nil {
			err = damaged(identityName, "%v", why)
		}
	}
	return id.Source, err
}

// claim makes a target that of a source, or refuses one that is another's.
func claim(ctx context.Context, t Target, s Source) error {
	have, err := SourceOf(ctx, t)
	switch {
	case errors.Is(err, ErrNotFound):
		items, err := t.List(ctx, "points/")
		if err != nil {
			return err
		}
		if len(items) > 0 {
			return damaged(identityName, "it is gone, and there are points")
		}
		return putSealed(ctx, t, identityName, &identity{Format: identityFormat, Source: s})
	case err != nil:
		return err
	case have.Cluster != s.Cluster:
		return fmt.Errorf("backup: %s holds backups of the cluster %s, and this is %s: take another place for them", t, have.Cluster, s.Cluster)
	case have != s:
		return fmt.Errorf("backup: %s holds backups of this cluster from before it was restored (its ledger is now %s): take another place for those from now on", t, s.Origin)
	}
	return nil
}
