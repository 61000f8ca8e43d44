package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/server/audit"
	"ironman/wal/ledger"
)

func (f *auditFlags) verifyCommand() *cobra.Command {
	bare, root := false, ""
	var admin []string
	c := &cobra.Command{
		Use:   "verify [EXPORT]",
		Short: "Check all that is recorded: every hash, signature, sequence and payload",
		Long: `Check all that is recorded, of a node (--dir) or of an exported ledger (EXPORT): every hash of every tile, every root that
a checkpoint vouches for, its signature, that sequences are dense and times rise, that every statement, payload item and outcome is
what its envelope commits to, and that payload items that are not there were erased by an event of the same ledger. Of a node also that the state has the very tree of all these events.
Fails with the first bad sequence.

A ledger that somebody replaced as a whole, key and all, agrees with itself: give the --key that you know, or the --root that another
node has (ledger_root of ironman admin status) or that you noted; that of fewer events goes with ironman audit consistency.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			wanted, err := parseRoot(root)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return f.verifyExport(c.OutOrStdout(), args[0], bare, wanted)
			}
			if c.Flags().Changed("admin") {
				return f.verifyOnline(c.OutOrStdout(), admin, wanted)
			}
			return f.with(func(ctx context.Context, n *audit.Node) error {
				began, b := time.Now(), newProgress("verified")
				v, err := n.Verify(ctx, b.at)
				b.end()
				if err == nil {
					err = wanted.check(v.Tree)
				}
				if err != nil {
					return err
				}
				return f.tellVerified(c.OutOrStdout(), verified{
					Events: uint64(v.Tree.N), Signed: v.Signed, Payloads: true, Erased: v.Erased, Root: v.Tree.Hash.String(), RootHex: rootHex(v.Tree.Hash), Origin: n.Origin, Key: n.Key, Took: time.Since(began),
				})
			})
		},
	}
	c.Flags().BoolVar(&bare, "bare", false, "of an export without payloads: its envelopes only")
	c.Flags().StringVar(&root, "root", "", "the root that it must have, in hex or base64")
	c.Flags().StringSliceVar(&admin, "admin", nil, "address of the admin listener of a node that runs, which verifies what is in its ledger's files")
	return c
}

// knownRoot is a root that a tree must have; nil: nobody said.
type knownRoot []byte

// parseRoot reads a root as it is printed, in hex, or as checkpoints have it, in base64.
func parseRoot(s string) (knownRoot, error) {
	if s == "" {
		return nil, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		b, err = base64.StdEncoding.DecodeString(s)
	}
	if err != nil || len(b) != tlog.HashSize {
		return nil, fmt.Errorf("--root: %q is no root: it takes 64 digits of hex, or 32 bytes in base64", s)
	}
	return b, nil
}

func (k knownRoot) check(t tlog.Tree) error {
	if k != nil && !bytes.Equal(k, t.Hash[:]) {
		return fmt.Errorf("the ledger of %d events has the root %s, not %x", t.N, rootHex(t.Hash), []byte(k))
	}
	return nil
}

func rootHex(h tlog.Hash) string { return hex.EncodeToString(h[:]) }

// verified is what a verification came to.
type verified struct {
	Events   uint64        `json:"events"`
	Signed   uint64        `json:"signed"` // how many of them a checkpoint vouches for
	Payloads bool          `json:"payloads"`
	Erased   ledger.Erased `json:"erased"` // items of payloads, and the events that erased them
	Root     string        `json:"root"`   // base64, as in checkpoints
	RootHex  string        `json:"root_hex"`
	Origin   string        `json:"origin"`
	Key      string        `json:"key"`
	Took     time.Duration `json:"took_ns"`
}

func (f *auditFlags) tellVerified(out io.Writer, v verified) error {
	if f.json {
		return printJSON(out, v)
	}
	what := "events"
	if !v.Payloads {
		what = "envelopes, without payloads,"
	}
	_, err := fmt.Fprintf(out, "%d %s verified, %.0f a second\n", v.Events, what, float64(v.Events)/v.Took.Seconds())
	if err == nil && v.Signed < v.Events {
		_, err = fmt.Fprintf(out, "signed  the first %d; the others are what this node's state says\n", v.Signed)
	}
	if err == nil && v.Erased.Items > 0 {
		_, err = fmt.Fprintf(out, "erased  %d items, by %s\n", v.Erased.Items, someEvents(v.Erased.Events))
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "root    %s\n        %s (base64)\norigin  %s\nkey     %s\n", v.RootHex, v.Root, v.Origin, v.Key)
	}
	return err
}

// mostNamed is how many of a list of events are named.
const mostNamed = 20

// someEvents names the first of a list of events.
func someEvents(seqs []uint64) string {
	what := "event "
	if len(seqs) != 1 {
		what = "events "
	}
	what += strings.Trim(fmt.Sprint(seqs[:min(len(seqs), mostNamed)]), "[]")
	if more := len(seqs) - mostNamed; more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	return what
}

// verifyExport verifies an exported ledger.
func (f *auditFlags) verifyExport(out io.Writer, dir string, bare bool, root knownRoot) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	began, b := time.Now(), newProgress("verified")
	x, err := audit.VerifyExport(ctx, vfs.Default, abs, f.key, b.at)
	b.end()
	if err == nil {
		err = root.check(x.Tree)
	}
	if err != nil {
		return err
	}
	if !x.Payloads && !bare {
		return errors.New("the envelopes verify, but there are no payloads: if there should be none, say --bare")
	}
	n := uint64(x.Tree.N)
	return f.tellVerified(out, verified{
		Events: n, Signed: n, Payloads: x.Payloads, Erased: x.Erased, Root: x.Tree.Hash.String(), RootHex: rootHex(x.Tree.Hash), Origin: x.Origin, Key: x.Key, Took: time.Since(began),
	})
}

func (f *auditFlags) proveCommand() *cobra.Command {
	var to string
	var admin []string
	c := &cobra.Command{
		Use:   "prove SEQ",
		Short: "Write a proof that an event is in the ledger",
		Long: `Write a proof that an event is in the ledger, with the event itself, in one file (C2SP tlog-proof). "ironman audit check" needs
nothing but that file and the ledger's verifier key, which "audit verify" prints.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			seq, err := sequence(args[0])
			if err == nil && to != "" && f.dir != "" {
				err = f.outside(to)
			}
			if err != nil {
				return err
			}
			if c.Flags().Changed("admin") {
				b, err := f.proveOnline(admin, seq)
				if err != nil {
					return err
				}
				return writeProof(c.OutOrStdout(), to, b)
			}
			return f.with(func(_ context.Context, n *audit.Node) error {
				b, err := n.Prove(seq)
				if err != nil {
					return err
				}
				return writeProof(c.OutOrStdout(), to, b)
			})
		},
	}
	c.Flags().StringVarP(&to, "out", "o", "", "the file to write, which must not be there; standard output if not given")
	c.Flags().StringSliceVar(&admin, "admin", nil, adminUsage)
	return c
}

func writeProof(out io.Writer, to string, b []byte) error {
	if to == "" {
		_, err := out.Write(b)
		return err
	}
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return errors.Join(err, w.Close())
}

func (f *auditFlags) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check PROOF --key KEY",
		Short: "Check a proof by the ledger's verifier key alone",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.key == "" {
				return errors.New(`--key is needed: the verifier key that "ironman audit verify" prints`)
			}
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			b, err := io.ReadAll(io.LimitReader(file, audit.MaxProofBytes+1))
			if err != nil {
				return err
			}
			p, err := audit.Check(b, f.key)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), p)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Event %d of %s is in the ledger of %d events with the root %s:\n%s by %s on %s at %s: %s\n",
				p.Seq, p.Origin, p.Size, p.Root, either(p.Operation, p.Kind), quoted(p.Actor), on(&p.Entry), p.Time.Format(time.RFC3339Nano), result(&p.Entry))
			return err
		},
	}
}

func (f *auditFlags) consistencyCommand() *cobra.Command {
	var root string
	var admin []string
	c := &cobra.Command{
		Use:   "consistency A B",
		Short: "Prove that the ledger of A events is where that of B events begins",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			wanted, err := parseRoot(root)
			if err != nil {
				return err
			}
			a, err := sequence(args[0])
			if err != nil {
				return err
			}
			b, err := sequence(args[1])
			if err != nil {
				return err
			}
			if c.Flags().Changed("admin") {
				old, grown, p, err := f.consistentOnline(admin, a, b)
				if err == nil {
					err = wanted.check(old)
				}
				if err != nil {
					return err
				}
				return f.tellConsistent(c.OutOrStdout(), old, grown, p)
			}
			return f.with(func(_ context.Context, n *audit.Node) error {
				old, grown, p, err := n.Consistent(a, b)
				if err == nil {
					err = wanted.check(old)
				}
				if err != nil {
					return err
				}
				return f.tellConsistent(c.OutOrStdout(), old, grown, p)
			})
		},
	}
	c.Flags().StringSliceVar(&admin, "admin", nil, adminUsage)
	c.Flags().StringVar(&root, "root", "", "the root that the ledger of A events must have, as somebody noted it, in hex or base64")
	return c
}

// tellConsistent prints that one tree is where another begins.
func (f *auditFlags) tellConsistent(out io.Writer, old, grown tlog.Tree, p tlog.TreeProof) error {
	if f.json {
		return printJSON(out, struct {
			Sizes [2]int64  `json:"sizes"`
			Roots [2]string `json:"roots"` // base64
			Proof []string  `json:"proof"` // RFC 6962, base64
		}{[2]int64{old.N, grown.N}, [2]string{old.Hash.String(), grown.Hash.String()}, hashes(p)})
	}
	_, err := fmt.Fprintf(out, "%d events  root %s\n%d events  root %s\nproof\n  %s\n", old.N, rootHex(old.Hash), grown.N, rootHex(grown.Hash), strings.Join(hashes(p), "\n  "))
	return err
}

func hashes[H fmt.Stringer](p []H) []string {
	out := make([]string, len(p))
	for i, h := range p {
		out[i] = h.String()
	}
	return out
}
