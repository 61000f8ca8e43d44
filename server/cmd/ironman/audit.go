package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"ironman/fsm"
	"ironman/server"
	"ironman/server/audit"
	"ironman/wal/ledger"
)

// auditFlags say whose record is read.
type auditFlags struct {
	dir, key string
	json     bool
}

func auditCommand() *cobra.Command {
	f := &auditFlags{}
	c := &cobra.Command{
		Use:   "audit",
		Short: "Read, check, prove and replay what the cluster recorded",
		Long: `Read, check, prove and replay what the cluster recorded, from the directory of a node that does not run (or from a copy of it):
nothing in it is changed, and no other node is needed. "log", "show", "replay" and "diff" read an exported ledger as well; with --admin
"log" and "show" ask a cluster that runs instead.

Every mutation is an event with a sequence, from 0 on. The events of a node are those that are known on it to have been agreed on;
after an orderly stop these are all.`,
	}
	c.PersistentFlags().StringVar(&f.dir, "dir", "", "directory of a node that does not run, or of an exported ledger")
	c.PersistentFlags().StringVar(&f.key, "key", "", "verifier key that the ledger must be signed with (the one that its first event names or, of a cluster that was restored, the newest epoch's)")
	c.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON")
	c.AddCommand(f.logCommand(), f.showCommand(), f.verifyCommand(), f.proveCommand(), f.checkCommand(), f.consistencyCommand(),
		f.exportCommand(), f.replayCommand(), f.diffCommand(), f.eraseCommand(), f.erasuresCommand(), f.readsCommand())
	return c
}

// open opens the record.
func (f *auditFlags) open() (*audit.Node, error) {
	if f.dir == "" {
		return nil, errors.New("--dir is needed: the directory of a node that does not run (log, show, verify, prove and consistency can ask nodes that run, by --admin)")
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return nil, err
	}
	n, err := audit.Open(audit.Options{
		FS: vfs.Default, Dir: dir, Key: f.key, Fatal: fatal,
		Signer: func(origin string) (note.Signer, error) { return server.LedgerSigner(vfs.Default, dir, origin, true) },
	})
	if err != nil {
		return nil, err
	}
	if behind := n.Behind(); behind > 0 {
		fmt.Fprintf(os.Stderr, "%d events stand in this node's log behind what is known here to have been agreed on, and are left out\n", behind)
	}
	return n, nil
}

// fatal ends the process: what is read is damaged beyond use, or what is written cannot be.
func fatal(err error) {
	fmt.Fprintln(os.Stderr, "ironman:", err)
	os.Exit(1)
}

// outside refuses to write into the directory that is read.
func (f *auditFlags) outside(path string) error {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	to, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(dir, to); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fmt.Errorf("%s is in the directory that is read", path)
	}
	return nil
}

// with opens the record for the time of f, which an interrupt ends.
func (f *auditFlags) with(do func(ctx context.Context, n *audit.Node) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := f.open()
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, n), n.Close())
}

// reading opens what can be read in order, of a node or of an exported ledger, for the time
// of f.
func (f *auditFlags) reading(do func(ctx context.Context, x *audit.Reader) error) error {
	if _, err := os.Stat(filepath.Join(f.dir, ledger.CheckpointPath)); f.dir == "" || err != nil {
		return f.with(func(ctx context.Context, n *audit.Node) error { return do(ctx, &n.Reader) })
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	x, err := audit.OpenExport(vfs.Default, dir, f.key)
	if err != nil {
		return err
	}
	return do(ctx, x)
}

// sequence reads the sequence of an event.
func sequence(s string) (uint64, error) {
	seq, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a sequence", s)
	}
	return seq, nil
}

// online is where a record is read that is not in --dir: from nodes that run.
func (f *auditFlags) online(addresses []string) (*feedSource, error) {
	if f.key != "" {
		return nil, errors.New("--key is for the record in a node's directory (--dir without --admin): what a node that runs answers is taken as it is")
	}
	return (&sourceFlags{addresses: addresses, dir: f.dir}).open()
}

const adminUsage = "addresses of admin listeners: read from nodes that run, not from --dir, where then only the root keys are looked for"

func (f *auditFlags) logCommand() *cobra.Command {
	var q audit.Filter
	var from, to string
	var admin []string
	c := &cobra.Command{
		Use:   "log",
		Short: "Print who did what, when, with what outcome and why it was allowed",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := audit.CheckKinds(q.Kinds); err != nil {
				return err
			}
			p := newEntryPrinter(c.OutOrStdout(), f.json, false)
			if c.Flags().Changed("admin") {
				s, err := f.online(admin)
				if err != nil {
					return err
				}
				ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
				defer stop()
				asked := filterQuery(&q)
				asked.Set("from", from)
				asked.Set("to", to)
				return errors.Join(s.log(ctx, asked, p.print), p.end())
			}
			return f.reading(func(ctx context.Context, n *audit.Reader) (err error) {
				if q.From, err = n.Moment(from); err != nil {
					return err
				}
				if q.To, err = n.Moment(to); err != nil {
					return err
				}
				if q.To == 0 {
					return nil
				}
				return errors.Join(n.Log(ctx, q, p.print), p.end())
			})
		},
	}
	c.Flags().StringVar(&from, "from", "0", "begin with this sequence, or at this time (2026-01-02T03:04:05Z)")
	c.Flags().StringVar(&to, "to", "end", "end before this sequence or time")
	c.Flags().StringSliceVar(&admin, "admin", nil, adminUsage)
	filterFlags(c, &q)
	return c
}

// filterFlags are those of all commands that print entries.
func filterFlags(c *cobra.Command, q *audit.Filter) {
	c.Flags().StringVar(&q.Bucket, "bucket", "", `only of this bucket, or copied from it; "#15" is the one with the id 15, of several of one name`)
	c.Flags().StringVar(&q.Key, "key-name", "", "only of this key")
	c.Flags().StringVar(&q.Prefix, "prefix", "", "only of keys that begin so")
	c.Flags().StringVar(&q.Actor, "actor", "", `only by this one: an id, or a name that somebody has now; "anonymous", "system"`)
	c.Flags().StringSliceVar(&q.Kinds, "kind", nil, `only of these kinds ("object_put")`)
	c.Flags().StringSliceVar(&q.Operations, "operation", nil, `only of these operations ("PutObject")`)
	c.Flags().BoolVar(&q.Refused, "refused", false, "only what was refused")
}

func (f *auditFlags) showCommand() *cobra.Command {
	var admin []string
	c := &cobra.Command{
		Use:   "show SEQ",
		Short: "Print all of one event",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			seq, err := sequence(args[0])
			if err != nil {
				return err
			}
			if c.Flags().Changed("admin") {
				s, err := f.online(admin)
				if err != nil {
					return err
				}
				ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
				defer stop()
				d, err := s.show(ctx, seq)
				if err != nil {
					return err
				}
				return printJSON(c.OutOrStdout(), d)
			}
			return f.reading(func(_ context.Context, n *audit.Reader) error {
				r, err := n.Record(seq)
				if err != nil {
					return err
				}
				d, err := n.Detail(&r)
				if err != nil {
					return err
				}
				return printJSON(c.OutOrStdout(), d)
			})
		},
	}
	c.Flags().StringSliceVar(&admin, "admin", nil, adminUsage)
	return c
}

func (f *auditFlags) exportCommand() *cobra.Command {
	var size uint64
	var bare bool
	c := &cobra.Command{
		Use:   "export OUT",
		Short: "Write the ledger as a static tree that any web server can serve",
		Long: `Write the ledger as a static tree in the layout of C2SP tlog-tiles, with a signed checkpoint: any web server can serve it, and any
public verifier can check it. OUT must be empty or missing. With --bare it holds envelopes only, which tell no names.

Where the node's keyring.json is in its directory a new checkpoint of all events is signed; without it the export ends with the newest
that the node has signed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := filepath.Abs(args[0])
			if err == nil {
				err = f.outside(to)
			}
			if err != nil {
				return err
			}
			return f.with(func(ctx context.Context, n *audit.Node) error {
				if err := n.Export(ctx, vfs.Default, to, size, !bare); err != nil {
					return err
				}
				b := newProgress("verified")
				x, err := audit.VerifyExport(ctx, vfs.Default, to, n.Key, b.at)
				b.end()
				if err != nil {
					return fmt.Errorf("what was written does not verify: %w", err)
				}
				size := uint64(x.Tree.N)
				if f.json {
					return printJSON(c.OutOrStdout(), verified{Events: size, Signed: size, Payloads: x.Payloads, Erased: x.Erased, Root: x.Tree.Hash.String(), RootHex: rootHex(x.Tree.Hash), Origin: x.Origin, Key: x.Key})
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "%d events exported to %s and verified\n", size, to)
				return err
			})
		},
	}
	c.Flags().Uint64Var(&size, "size", 0, "how many events (all)")
	c.Flags().BoolVar(&bare, "bare", false, "without statements, names and outcomes")
	return c
}

// replayMachine opens a state machine that a replay of the events below to can begin with, in
// an empty directory; "": in one that is removed again.
func replayMachine(x *audit.Reader, to uint64, dir string) (m *fsm.Machine, done func() error, err error) {
	done = func() error { return nil }
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ironman-audit-"); err != nil {
			return nil, nil, err
		}
		remove := dir
		done = func() error { return os.RemoveAll(remove) }
	} else if err := emptyDir(dir); err != nil {
		return nil, nil, err
	}
	state := filepath.Join(dir, "state")
	next, err := x.Base(to, vfs.Default, state)
	if err == nil {
		m, err = fsm.Open(fsm.Options{FS: vfs.Default, Dir: state, Fatal: fatal})
	}
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	if next > 0 {
		fmt.Fprintf(os.Stderr, "payloads of events were erased by law: the replay begins at this node's snapshot behind %d events, whose state is that of the record\n", next)
	}
	rest := done
	return m, func() error { return errors.Join(m.Close(), rest()) }, nil
}

// emptyDir makes a directory, and refuses one that holds anything.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := os.ReadDir(dir)
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%s is not empty", dir)
	}
	return err
}

func (f *auditFlags) replayCommand() *cobra.Command {
	var to, out string
	c := &cobra.Command{
		Use:   "replay",
		Short: "Make the state anew from the record and compare every step",
		Long: `Apply all events, from the first on, to an empty state machine, and compare every outcome, the digest of the state behind every
event, and the root of the ledger with what the cluster recorded. The state stays in --out, if that is given.

Where payloads were erased by law ("ironman audit erase"), the replay begins at the node's newest snapshot instead, which every node takes
before it erases, and which must have the state that is recorded for its last event.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(ctx context.Context, n *audit.Reader) (err error) {
				size, err := n.Moment(to)
				if err != nil {
					return err
				}
				if out != "" {
					if err := f.outside(out); err != nil {
						return err
					}
				}
				m, done, err := replayMachine(n, size, out)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, done()) }()
				b := newProgress("replayed")
				r, err := n.Replay(ctx, m, size, b.at)
				b.end()
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(c.OutOrStdout(), r)
				}
				replayed := r.Events - r.From
				_, err = fmt.Fprintf(c.OutOrStdout(), "%d events replayed, %.0f a second: every outcome and state is as recorded\nstate   %s\nledger  %s\n",
					replayed, float64(replayed)/r.Took.Seconds(), r.StateDigest, r.LedgerRoot)
				return err
			})
		},
	}
	c.Flags().StringVar(&to, "to", "end", "end before this sequence or time")
	c.Flags().StringVar(&out, "out", "", "an empty directory for the state; a temporary one, removed again, if not given")
	return c
}

func (f *auditFlags) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Print what changed between two moments",
		Long: `Print what changed in buckets and current objects between two moments: sequences, times (2026-01-02T03:04:05Z) or "end". A sequence
names the moment before its event. The record is replayed for it. The last lines count the events between of which nothing shows in that:
of users, nodes, uploads and older versions, and what was undone.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return f.reading(func(ctx context.Context, n *audit.Reader) (err error) {
				var at [2]uint64
				for i := range at {
					if at[i], err = n.Moment(args[i]); err != nil {
						return err
					}
				}
				m, done, err := replayMachine(n, at[1], "")
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, done()) }()
				b := newProgress("replayed")
				d, err := n.Diff(ctx, m, at[0], at[1], b.at)
				b.end()
				if err != nil {
					return err
				}
				return f.tellDifference(c.OutOrStdout(), d)
			})
		},
	}
}

func (f *auditFlags) tellDifference(out io.Writer, d *audit.Difference) error {
	if f.json {
		e := json.NewEncoder(out)
		for i := range d.Changes {
			if err := e.Encode(&d.Changes[i]); err != nil {
				return err
			}
		}
		return e.Encode(map[string]any{"others": d.Others})
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for i := range d.Changes {
		x := &d.Changes[i]
		name := quoted(x.Bucket)
		if x.Key != "" {
			name += "/" + quoted(x.Key)
		}
		sizes := ""
		switch {
		case x.Before != nil && x.After != nil:
			sizes = fmt.Sprintf("%d -> %d bytes", x.Before.Size, x.After.Size)
		case x.After != nil:
			sizes = fmt.Sprintf("%d bytes", x.After.Size)
		case x.Before != nil:
			sizes = fmt.Sprintf("had %d bytes", x.Before.Size)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.How, name, sizes, strings.Join(x.What, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(d.Others)) {
		if _, err := fmt.Fprintf(out, "and %d events %s\n", d.Others[kind], kind); err != nil {
			return err
		}
	}
	return nil
}
