package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"ironman/server"
	"ironman/server/backup"
)

// restoreClusterFlags say from what a cluster is restored, and into what.
type restoreClusterFlags struct {
	from         backupPlace
	dir, keyring string
	point        uint64
	admins       []string
	parallel     int
	out          io.Writer
}

func restoreClusterCommand() *cobra.Command {
	f := &restoreClusterFlags{}
	c := &cobra.Command{
		Use:   "restore-cluster --from BACKUP (--dir NODEDIR --keyring FILE | --admin URL)",
		Short: "Make a new cluster of a backup: its first node, then the bytes",
		Long: `Make a new cluster of a backup that "ironman backup" has taken, when all nodes are lost, or none is to be believed any more. It goes on with the
old one's id, sequences, history, users and keys as of a point; what came behind that point is lost. Two runs:

With --dir and --keyring, offline, it makes the directory of the new cluster's first node: state, log and ledger, each verified, and verified
against each other. Every node that the cluster had is shut out for good by the event that begins the new epoch, and the ledger goes on under a new
key, which is printed: no signature of before can stand for what comes after. The keyring that is given is the old cluster's; it is in no backup.
The directory must be empty or not there. A run that was cut short is run again, and no node starts before one has come to its end.

Then start "ironman server" there as ever, with disks that are empty, and let other nodes join.

With --admin it then sends the bytes of every blob whose shards are on disks that are gone to the cluster that runs, which codes and places them anew.
Until a blob is there, what needs it fails with 503; everything else works, new writes too. It can be cut short and run again at any time, and says
what is left. The root keys are taken from IRONMAN_ROOT_ACCESS_KEY and IRONMAN_ROOT_SECRET_KEY, or from root-credentials.json in --dir.

` + backupKeys,
		Example: `  ironman restore-cluster --from /mnt/backup --keyring /safe/keyring.json --dir /var/lib/ironman
  ironman server --dir /var/lib/ironman --disks /mnt/a,/mnt/b
  ironman restore-cluster --from /mnt/backup --admin http://127.0.0.1:9200 --dir /var/lib/ironman`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			f.out = c.OutOrStdout()
			if len(f.admins) > 0 {
				return f.place(ctx)
			}
			return f.plant(ctx)
		},
	}
	f.from.flags(c, "from", "the backup: a directory, or s3://BUCKET/PREFIX (required)")
	fl := c.Flags()
	fl.Uint64Var(&f.point, "point", backup.Newest, "the point, by its sequence, as \"ironman backup list\" shows them (default the newest; with --admin the one that was restored)")
	fl.StringVar(&f.dir, "dir", "", "directory of the new cluster's first node; with --admin only to read the root keys from")
	fl.StringVar(&f.keyring, "keyring", "", "the old cluster's keyring.json")
	fl.StringSliceVar(&f.admins, "admin", nil, "addresses of admin listeners of the cluster that runs, asked in turn")
	fl.IntVar(&f.parallel, "parallel", 4, "how many blobs are sent at once")
	return c
}

// plant makes the directory of the first node.
func (f *restoreClusterFlags) plant(ctx context.Context) error {
	if f.dir == "" || f.keyring == "" {
		return errors.New("--dir and --keyring are needed, or --admin to bring back the bytes")
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	target, err := f.from.target()
	if err != nil {
		return err
	}
	from, err := backup.OpenPoint(ctx, target, f.point)
	if err != nil {
		return err
	}
	if !f.from.json {
		fmt.Fprintf(f.out, "Restoring the cluster %s as of event %d, at %s\n", from.Point.Cluster, from.Point.Seq-1, from.Point.Time.Format(time.RFC3339))
	}
	steps := &bars{}
	r, err := server.RestoreCluster(ctx, server.ClusterRestore{
		From: from, FS: vfs.Default, Dir: dir, Keyring: f.keyring, CheckModes: true, Now: time.Now, Fatal: fatal,
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Progress: steps.at,
	})
	steps.end()
	if err != nil {
		return err
	}
	if f.from.json {
		return printJSON(f.out, r)
	}
	return f.explain(r, dir)
}

// explain says what came of it, and what is to be done now.
func (f *restoreClusterFlags) explain(r *server.RestoredCluster, dir string) error {
	w := tabwriter.NewWriter(f.out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "node\t%d, in %s\n", r.Node, dir)
	fmt.Fprintf(w, "events\t%d, the last of %s; their root is %s\n", r.Seq, r.Time.Format(time.RFC3339), r.Root)
	fmt.Fprintf(w, "old ledger key\t%s\n", r.OldKey)
	fmt.Fprintf(w, "new ledger key\t%s\n", r.Key)
	fmt.Fprintf(w, "blobs to come\t%d, %s\n", r.Blobs, sizeText(r.Bytes))
	if err := w.Flush(); err != nil {
		return err
	}
	keys := "Root's keys are the old cluster's; none of them is active."
	if r.Credentials {
		keys = "Root's keys are the old cluster's, and stand in " + filepath.Join(dir, "root-credentials.json") + "."
	}
	_, err := fmt.Fprintf(f.out, `
What to do next:
  1. Keep a copy of %s where the old keyring's is: it has the new ledger key.
     Give the new ledger key to whoever audits; what was signed before the event %d stays under the old one.
  2. Start the node as ever, with empty disks, and let others join it:
       ironman server --dir %s --disks ...
     %s
  3. Bring back the bytes, once all nodes that are to hold them have joined:
       ironman restore-cluster --from %s --point %d --admin http://127.0.0.1:9200 --dir %s
  4. Back it up to another place than before: a backup is of one epoch of the ledger.
`, filepath.Join(dir, "keyring.json"), r.Seq, dir, keys, f.from.place, r.Seq, dir)
	return err
}
