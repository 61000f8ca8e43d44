package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/fsm"
	"ironman/s3api/sse"
	"ironman/server/audit"
	"ironman/server/backup"
	"ironman/wal"
	"ironman/wal/digest"
	"ironman/wal/durable"
	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/overlay"
)

// ClusterRestore says what a cluster is restored from, and into what.
type ClusterRestore struct {
	From *backup.Reader
	FS   vfs.FS
	// Dir is to be the directory of the new cluster's first node. It is empty or not there, or
	// what a restoration left that was cut short: that one is made again.
	Dir string
	// Keyring is the file of the old cluster's keyring. CheckModes refuses one that others may
	// read.
	Keyring    string
	CheckModes bool

	Now    func() time.Time
	Fatal  func(error) // never returns
	Logger *slog.Logger
	// Progress is told what is done, how much of it, of how much, and of what. May be nil.
	Progress func(what string, done, total uint64, of string)
}

// RestoredCluster is what came of it.
type RestoredCluster struct {
	Cluster string `json:"cluster"` // its id, hexadecimal
	Node    uint32 `json:"node"`    // the new one
	// Seq is the sequence of the event that began the epoch: all below it is what it was.
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"` // log time of the last event before it
	// Origin and Key are those of the ledger from Seq on, OldOrigin and OldKey of before.
	Origin    string `json:"ledger_origin"`
	Key       string `json:"ledger_key"`
	OldOrigin string `json:"old_ledger_origin"`
	OldKey    string `json:"old_ledger_key"`
	Root      string `json:"root"` // of the events below Seq, base64
	// Blobs are those whose bytes are still to come, and of how many bytes.
	Blobs uint64 `json:"blobs"`
	Bytes uint64 `json:"bytes"`
	// Credentials tells whether root's keys were written into the directory.
	Credentials bool `json:"credentials"`
}

// RestoreCluster makes the directory of a node that goes on with a cluster from a point of its
// past, alone: what the point holds is copied and verified, state against ledger; an event
// shuts out all nodes before and begins a new epoch of the ledger, under a new key. The bytes
// of blobs are not here: nodes that run take them (see lost blobs).
//
// Until it returns nil the directory bears a mark, with which no node starts. It may be cut
// short at any moment, and is then made again: of what was copied whole nothing is copied twice.
func RestoreCluster(ctx context.Context, o ClusterRestore) (*RestoredCluster, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string, uint64, uint64, string) {}
	}
	r := &clusterRestoration{ClusterRestore: o, point: o.From.Point}
	b, err := readSecret(o.FS, o.Keyring, o.CheckModes)
	if err != nil {
		return nil, fmt.Errorf("server: keyring: %w", err)
	}
	if r.keyring, err = parseKeyring(b); err != nil {
		return nil, fmt.Errorf("server: keyring %s: %w", o.Keyring, err)
	}
	before, unlock, err := occupy(o.FS, o.Dir, restoreMark{
		Format: restoreMarkFormat, Cluster: r.point.Cluster, Origin: r.point.Origin, Seq: r.point.Seq, Began: o.Now().UTC(),
	})
	if err != nil {
		return nil, err
	}
	if err = r.clear(before); err != nil {
		err = fmt.Errorf("server: %w", err)
	} else {
		err = r.run(ctx, b)
	}
	if err != nil {
		return nil, errors.Join(err, unlock.Close())
	}
	if err := vacate(o.FS, o.Dir, unlock); err != nil {
		return nil, err
	}
	return &r.done, nil
}

// clusterRestoration is a RestoreCluster under way.
type clusterRestoration struct {
	ClusterRestore
	point   *backup.Point
	keyring *keyring // of before

	cluster *fsm.Cluster // as of the point
	id      *identity    // of the new node
	next    *keyring     // with the new ledger key
	done    RestoredCluster
}

func (r *clusterRestoration) path(elem ...string) string {
	return r.FS.PathJoin(append([]string{r.Dir}, elem...)...)
}

// clear takes away what an earlier restoration made of what it copied; all of that, too, if it
// was of another point.
func (r *clusterRestoration) clear(before *restoreMark) error {
	if before == nil {
		return nil
	}
	gone := []string{
		r.path("identity.json"), r.path("keyring.json"), r.path(membersFile), r.path(credentialsFile),
		r.path("wal", "snapshots"), r.path("wal", "log"), r.path("wal", "stable"), r.path("wal", "stable.new"),
		r.path("wal", "ledger", ledger.CheckpointPath),
	}
	if before.Cluster != r.point.Cluster || before.Origin != r.point.Origin || before.Seq != r.point.Seq {
		gone = append(gone, r.path("wal"), r.path("state"))
	}
	for _, path := range gone {
		if err := r.FS.RemoveAll(path); err != nil {
			return err
		}
	}
	return durable.SyncDir(r.FS, r.Dir)
}

func (r *clusterRestoration) run(ctx context.Context, keyring []byte) error {
	if err := r.state(ctx); err != nil {
		return err
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	if err := r.ledger(ctx); err != nil {
		return err
	}
	if err := r.plant(ctx); err != nil {
		return err
	}
	err := r.begin(ctx, keyring)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// What is wrong may be a file of the ledger, and which one is not said. An import takes
	// files that are there as they are: so that the next one can be of a backup that was
	// mended, none stays. Those of the state are compared with the point each time.
	return errors.Join(err, r.FS.RemoveAll(r.path("wal", "ledger")))
}

// begin makes a node of what was copied, and verifies it.
func (r *clusterRestoration) begin(ctx context.Context, keyring []byte) error {
	begun, err := r.become(keyring)
	if err != nil {
		return err
	}
	r.Progress("beginning a new epoch:", 0, 1, "steps")
	if err := beginEpoch(ctx, r.options(), r.id, begun); err != nil {
		return err
	}
	r.Progress("beginning a new epoch:", 1, 1, "steps")
	if err := r.sign(begun); err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return fmt.Errorf("server: what was restored is not what was backed up: %w", err)
	}
	return nil
}

func (r *clusterRestoration) options() Options {
	return Options{FS: r.FS, Dir: r.Dir, Now: r.Now, Fatal: r.Fatal, Logger: r.Logger, CheckModes: r.CheckModes}
}

// state copies the state's files and reads all of them.
func (r *clusterRestoration) state(ctx context.Context) error {
	if err := durable.MakeDir(r.FS, r.path("state"), 0o700); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	names, err := r.FS.List(r.path("state"))
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(r.point.State.Files, func(f backup.File) bool { return f.Name == name }) {
			if err := r.FS.RemoveAll(r.path("state", name)); err != nil {
				return fmt.Errorf("server: %w", err)
			}
		}
	}
	done, total := uint64(0), uint64(0)
	for _, f := range r.point.State.Files {
		total += uint64(f.Size)
	}
	for _, f := range r.point.State.Files {
		r.Progress("copying the state:", done, total, "bytes")
		if err := r.stateFile(ctx, f); err != nil {
			return fmt.Errorf("server: state: %w", err)
		}
		done += uint64(f.Size)
	}
	if err := durable.SyncDir(r.FS, r.path("state")); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	r.Progress("verifying the state:", 0, 1, "steps")
	a, err := fsm.Verify(r.FS, r.path("state"))
	if err != nil {
		return fmt.Errorf("server: the state of the backup: %w", err)
	}
	s := &r.point.State
	if sum := hex.EncodeToString(a.Digest.Bytes()); a.Index != s.Index || a.Term != s.Term || a.Next != r.point.Seq || sum != s.Digest {
		return fmt.Errorf("server: the state of the backup stands at event %d, entry %d of term %d, digest %s, and not at event %d, entry %d of term %d, digest %s",
			a.Next, a.Index, a.Term, sum, r.point.Seq, s.Index, s.Term, s.Digest)
	}
	r.Progress("verifying the state:", 1, 1, "steps")
	return nil
}

// stateFile copies one file, unless it is there.
func (r *clusterRestoration) stateFile(ctx context.Context, f backup.File) error {
	path := r.path("state", f.Name)
	if there, err := r.has(path, f); err != nil || there {
		return err
	}
	from, err := r.From.StateFile(ctx, f)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	to, err := r.FS.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Sync()
	}
	if err := errors.Join(err, to.Close(), from.Close()); err != nil {
		return err
	}
	return r.FS.Rename(tmp, path)
}

// has tells whether a file is there, to the byte. An earlier process may have written it and
// not have synced it: that is done now.
func (r *clusterRestoration) has(path string, f backup.File) (bool, error) {
	file, err := r.FS.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	hash := digest.NewSHA256()
	_, err = io.Copy(hash, file)
	same := hex.EncodeToString(hash.Sum(nil)) == f.Sum
	if err == nil && same {
		err = file.Sync()
	}
	return same, errors.Join(err, file.Close())
}

// look reads, from the state, what the new node must know of the old cluster.
func (r *clusterRestoration) look(ctx context.Context) error {
	m, err := fsm.Open(fsm.Options{FS: overlay.New(r.FS), Dir: r.path("state"), Fatal: r.Fatal, Still: true})
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	v, err := m.View()
	if err != nil {
		return errors.Join(err, m.Close())
	}
	if err = r.lookAt(v); err == nil {
		r.Progress("looking for the keys of encryption:", 0, 1, "steps")
		err = r.masters(ctx, v)
		r.Progress("looking for the keys of encryption:", 1, 1, "steps")
	}
	edge, _, err2 := m.LedgerEdge()
	if err = errors.Join(err, err2, v.Close(), m.Close()); err != nil {
		return err
	}
	r.done.Root = edge.Root().String()
	return nil
}

func (r *clusterRestoration) lookAt(v *fsm.View) error {
	c, err := v.Cluster()
	if err != nil {
		return err
	}
	switch {
	case c == nil:
		return errors.New("server: the state of the backup is of no cluster")
	case hex.EncodeToString(c.ClusterId) != r.point.Cluster || c.LedgerOrigin != r.point.Origin || c.LedgerKey != r.point.Key:
		return errors.New("server: the state of the backup is of another cluster than the backup says")
	case string(c.KeyringFingerprint) != string(r.keyring.print):
		return fmt.Errorf("server: the keyring %s is not the one of the cluster that was backed up", r.Keyring)
	}
	// What the backup says of itself proves nothing: whoever can write it can sign it, too.
	switch key, err := r.keyring.ledgerVerifier(c.LedgerOrigin); {
	case err != nil:
		return err
	case key != c.LedgerKey:
		return fmt.Errorf("server: the ledger of the backup, %q, is signed under the key %s, and the keyring %s signs under %s: it is of another epoch of the cluster, or the backup is not what the cluster has recorded",
			c.LedgerOrigin, c.LedgerKey, r.Keyring, key)
	}
	nodes, err := v.Nodes()
	if err != nil {
		return err
	}
	highest := uint32(0)
	for _, n := range nodes {
		highest = max(highest, n.Node)
	}
	if highest == 0 {
		return errors.New("server: the cluster that was backed up has no nodes")
	}
	r.cluster, r.id = c, newIdentity(highest+1)
	r.id.Cluster, r.id.Log = r.point.Cluster, true
	return r.credentials(v)
}

// mastersNamed is how many missing master secrets are looked for: the first says it all.
const mastersNamed = 16

// masters makes sure that the keyring has every master secret that a data key was wrapped
// under: a copy of it from before one was added opens all else.
func (r *clusterRestoration) masters(ctx context.Context, v *fsm.View) error {
	var missing []string
	has := r.keyring.masters.IDs()
	enough := errors.New("enough")
	err := v.WrappedKeys(func(w *event.WrappedKey) error {
		id, err := sse.MasterOf(w)
		switch {
		case errors.Is(err, sse.ErrNotWrapped):
			return ctx.Err() // no keyring opens that
		case err != nil:
			return fmt.Errorf("server: the state of the backup: %w", err)
		case id != "" && !slices.Contains(has, id) && !slices.Contains(missing, id):
			if missing = append(missing, id); len(missing) == mastersNamed {
				return enough
			}
		}
		return ctx.Err()
	})
	if err != nil && !errors.Is(err, enough) {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("server: the keyring %s is older than the backup: objects are encrypted under master secrets that it does not hold, %s; take the one that the nodes had last", r.Keyring, strings.Join(missing, ", "))
	}
	return nil
}

// credentials writes root's keys where the first node of a cluster has them: whoever lost all
// nodes has lost them, too, but for the keyring, which opens them.
func (r *clusterRestoration) credentials(v *fsm.View) error {
	keys, err := v.AccessKeys(rootAccount, "")
	if err != nil {
		return err
	}
	for _, k := range keys {
		if !k.Active {
			continue
		}
		secret, err := r.keyring.openSecret(k.AccessKey, k.SealedSecret)
		if err != nil {
			return err
		}
		r.done.Credentials = true
		return (&credentials{AccessKey: k.AccessKey, SecretKey: string(secret.Reveal())}).write(r.FS, r.path(credentialsFile))
	}
	return nil
}

// ledger copies the ledger's files. Whether they are what they were, verify says.
func (r *clusterRestoration) ledger(ctx context.Context) error {
	if err := durable.MakeDir(r.FS, r.path("wal"), 0o700); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	tree := tlog.Tree{N: int64(r.point.Ledger.Size)}
	if tree.N > 0 {
		keys, err := r.verifiers(r.point.Key)
		if err != nil {
			return err
		}
		c, err := ledger.OpenCheckpoint([]byte(r.point.Ledger.Checkpoint), r.point.Origin, keys)
		if err != nil || c.Tree.N != tree.N || c.Tree.Hash.String() != r.point.Ledger.Root {
			return errors.Join(fmt.Errorf("server: the backup's checkpoint is not that of its ledger of %d events", tree.N), err)
		}
		tree = c.Tree
	}
	x := &ledger.Import{FS: r.FS, Dir: r.path("wal", "ledger"), Tree: tree, Open: func(rel string) (io.ReadCloser, error) {
		f, err := r.From.LedgerFile(ctx, rel)
		if errors.Is(err, backup.ErrNotFound) {
			err = errors.Join(iofs.ErrNotExist, err)
		}
		return f, err
	}, Progress: func(done, total uint64) { r.Progress("copying the ledger:", done, total, "events") }}
	if err := x.Run(ctx); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

func (r *clusterRestoration) verifiers(key string) (note.Verifiers, error) {
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("server: the ledger's key %q: %w", key, err)
	}
	return note.VerifierList(v), nil
}

// plant writes the log.
func (r *clusterRestoration) plant(ctx context.Context) error {
	r.Progress("writing the log:", 0, 1, "steps")
	err := wal.Plant(wal.PlantOptions{
		FS: r.FS, Dir: r.path("wal"), State: r.path("state"), ID: raftID(r.id.Node),
		Index: r.point.State.Index, Term: r.point.State.Term, Entries: r.From.Entries(ctx), Fatal: r.Fatal, Log: r.Logger,
	})
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	r.Progress("writing the log:", 1, 1, "steps")
	return nil
}

// become writes who the node is, and the keyring: the old one with a new key for the ledger.
func (r *clusterRestoration) become(old []byte) (*event.EpochBegun, error) {
	b, err := renewedKeyring(old)
	if err != nil {
		return nil, err
	}
	if r.next, err = parseKeyring(b); err != nil {
		return nil, err
	}
	if err := writeDurably(r.FS, r.path("keyring.json"), b); err != nil {
		return nil, fmt.Errorf("server: keyring: %w", err)
	}
	if err := r.id.write(r.FS, r.path("identity.json")); err != nil {
		return nil, err
	}
	public, err := r.id.publicKey()
	if err != nil {
		return nil, err
	}
	origin, err := nextOrigin(r.cluster.ClusterId, r.cluster.LedgerOrigin)
	if err != nil {
		return nil, err
	}
	key, err := r.next.ledgerVerifier(origin)
	if err != nil {
		return nil, err
	}
	d := &r.done
	d.Cluster, d.Node, d.Seq, d.Time = r.point.Cluster, r.id.Node, r.point.Seq, r.point.Time
	d.Origin, d.Key, d.OldOrigin, d.OldKey = origin, key, r.cluster.LedgerOrigin, r.cluster.LedgerKey
	d.Blobs, d.Bytes = r.point.Blobs.Count, r.point.Blobs.Bytes
	return &event.EpochBegun{
		PublicKey: public, LedgerOrigin: origin, LedgerKey: key,
		Remark: fmt.Sprintf("restored from the backup taken at %s on node %d", r.point.Taken.UTC().Format(time.RFC3339), r.point.Node),
	}, nil
}

// sign has the new key sign the ledger that was copied.
func (r *clusterRestoration) sign(begun *event.EpochBegun) error {
	signer, err := r.next.ledgerSigner(begun.LedgerOrigin)
	if err != nil {
		return err
	}
	keys, err := r.verifiers(begun.LedgerKey)
	if err != nil {
		return err
	}
	a, err := ledger.Open(ledger.Options{
		FS: r.FS, Dir: r.path("wal", "ledger"), Origin: begun.LedgerOrigin, Signer: signer, Verifiers: keys, Fatal: r.Fatal, Logger: r.Logger,
	})
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return a.Close()
}

// verify reads all that the new node has recorded, as an audit does, and compares it with what
// the point says: ledger, entries of the log and state must make one tree.
func (r *clusterRestoration) verify(ctx context.Context) error {
	n, err := audit.Open(audit.Options{FS: r.FS, Dir: r.Dir, Key: r.done.Key, Fatal: r.Fatal})
	if err != nil {
		return err
	}
	v, err := n.Verify(ctx, func(done, total uint64) { r.Progress("verifying the ledger:", done, total, "events") })
	if err == nil && uint64(v.Tree.N) <= r.point.Seq {
		err = fmt.Errorf("only %d events are recorded, and the new epoch began with %d", v.Tree.N, r.point.Seq)
	}
	if err == nil {
		var before tlog.Tree
		before, _, _, err = n.Consistent(r.point.Seq, uint64(v.Tree.N))
		if err == nil && before.Hash.String() != r.done.Root {
			err = fmt.Errorf("the first %d events have the root %v, and the state of the backup had %s", r.point.Seq, before.Hash, r.done.Root)
		}
	}
	return errors.Join(err, n.Close())
}
