package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"ironman/s3api/sig"
	"ironman/server/backup"
)

// backupPlace says where a backup is.
type backupPlace struct {
	place    string // a directory, or s3://BUCKET/PREFIX
	endpoint string // of S3
	json     bool
	without  bool // what is lost
}

// backupKeys is what help says of the keys for a bucket.
const backupKeys = `A place is a directory, or s3://BUCKET/PREFIX in any store that speaks S3, at --s3-endpoint. The keys for that are taken from IRONMAN_BACKUP_ACCESS_KEY and
IRONMAN_BACKUP_SECRET_KEY, or else from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. They need s3:PutObject, s3:GetObject and s3:ListBucket.`

func (p *backupPlace) flags(c *cobra.Command, name, usage string) {
	if name != "" {
		c.Flags().StringVar(&p.place, name, "", usage)
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // it is defined above
		}
	}
	c.Flags().StringVar(&p.endpoint, "s3-endpoint", os.Getenv("AWS_ENDPOINT_URL"), "the address of the store that has the bucket, such as https://s3.example.com")
	c.Flags().BoolVar(&p.json, "json", false, "print JSON")
}

// target opens the place.
func (p *backupPlace) target() (backup.Target, error) {
	rest, ok := strings.CutPrefix(p.place, "s3://")
	if !ok {
		if p.place == "" || strings.Contains(p.place, "://") {
			return nil, fmt.Errorf("%q is neither a directory nor s3://BUCKET/PREFIX", p.place)
		}
		dir, err := filepath.Abs(p.place)
		return backup.OpenDirectory(vfs.Default, dir), err
	}
	if p.endpoint == "" {
		return nil, errors.New("--s3-endpoint: which store has the bucket?")
	}
	cred, err := backupCredential()
	if err != nil {
		return nil, err
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	return backup.OpenS3(backup.S3{Endpoint: withScheme([]string{p.endpoint})[0], Region: awsRegion(), Bucket: bucket, Prefix: prefix, Cred: cred})
}

func backupCredential() (sig.Credential, error) {
	access, secret := os.Getenv("IRONMAN_BACKUP_ACCESS_KEY"), os.Getenv("IRONMAN_BACKUP_SECRET_KEY")
	if (access == "") != (secret == "") {
		return sig.Credential{}, errors.New("IRONMAN_BACKUP_ACCESS_KEY and IRONMAN_BACKUP_SECRET_KEY belong together")
	}
	if access != "" {
		return sig.Credential{AccessKey: access, Secret: sig.NewSecret(secret)}, nil
	}
	return awsCredential()
}

func backupCommand() *cobra.Command {
	var admin, dir string
	p := &backupPlace{}
	c := &cobra.Command{
		Use:   "backup --to DIR|s3://BUCKET/PREFIX",
		Short: "Take a backup of the whole cluster from a node that runs",
		Long: `Take a backup of the whole cluster, of one point in time, while it goes on to serve: the ledger, the state, the log's last entries, and the bytes of every blob that the state
names. What the place holds already is not sent again, and every byte is verified. It may be broken off at any moment and started again; a point that was
finished stays as it is. While it runs, bytes of what is deleted stay on the disks.

THE KEYRING IS NOT IN IT. Keep a copy of keyring.json (of any node's directory) elsewhere, and a new one whenever it was rotated: without it nobody can read encrypted
objects, or restore the cluster. Bytes of objects that are not encrypted can be read by whoever can read the backup, and names of all objects, too.

` + backupKeys + `
The root keys are taken from IRONMAN_ROOT_ACCESS_KEY and IRONMAN_ROOT_SECRET_KEY, or from root-credentials.json in --dir.

A place holds points of one cluster. After a cluster was restored its backups begin anew at another place.`,
		Example: `  ironman backup --admin http://127.0.0.1:9200 --to /mnt/backup/ironman
  ironman backup --to s3://backups/ironman --s3-endpoint https://s3.example.com
  ironman backup list /mnt/backup/ironman
  ironman backup verify /mnt/backup/ironman`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			access, secret, err := (&adminFlags{dir: dir}).keys()
			if err != nil {
				return err
			}
			to, err := p.target()
			if err != nil {
				return err
			}
			return p.take(ctx, c.OutOrStdout(), backup.NewAdmin(withScheme([]string{admin})[0], access, secret), to)
		},
	}
	p.flags(c, "to", "where the backup is kept: a directory, or s3://BUCKET/PREFIX")
	c.Flags().StringVar(&admin, "admin", "http://127.0.0.1:9200", "address of a node's admin listener")
	c.Flags().BoolVar(&p.without, "without-lost", false, "take a point also without the bytes of blobs that the cluster has lost; it lists them")
	c.Flags().StringVar(&dir, "dir", "", "a node's directory, to read the root keys from")
	c.AddCommand(backupListCommand(), backupVerifyCommand())
	return c
}

// bars shows bars one behind the other.
type bars struct{ now *progress }

func (b *bars) at(what string, done, total uint64, of string) {
	if b.now == nil || b.now.what != what {
		b.end()
		b.now = &progress{what: what, of: of}
	}
	b.now.at(done, total)
}

func (b *bars) end() {
	if b.now != nil {
		b.now.end()
	}
}

// backupSum is what was taken.
type backupSum struct {
	Point       uint64    `json:"point"` // sequence of the next event
	Time        time.Time `json:"time"`
	Blobs       uint64    `json:"blobs"`
	BlobBytes   uint64    `json:"blob_bytes"`
	SentBlobs   uint64    `json:"sent_blobs"`
	SentFiles   uint64    `json:"sent_files"`
	SentLedger  uint64    `json:"sent_ledger_files"`
	SentBytes   uint64    `json:"sent_bytes"`
	TookSeconds float64   `json:"took_seconds"`
}

func (p *backupPlace) take(ctx context.Context, out io.Writer, from *backup.Admin, to backup.Target) error {
	began := time.Now()
	b := &bars{}
	done, err := backup.Take{
		From: from, To: to, WithoutLost: p.without, Progress: b.at, Warn: func(text string) { fmt.Fprintln(os.Stderr, "note:", text) },
	}.Run(ctx)
	b.end()
	if err != nil {
		return err
	}
	s := backupSum{
		Point: done.Point.Seq, Time: done.Point.Time, Blobs: done.Point.Blobs.Count, BlobBytes: done.Point.Blobs.Bytes,
		SentBlobs: done.Blobs, SentFiles: done.Files, SentLedger: done.LedgerFiles, SentBytes: done.Bytes, TookSeconds: time.Since(began).Seconds(),
	}
	if p.json {
		return printJSON(out, s)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "point\t%d\t%s\n", s.Point, s.Time.Format(time.RFC3339))
	fmt.Fprintf(w, "holds\t%d blobs\t%s\n", s.Blobs, sizeText(s.BlobBytes))
	fmt.Fprintf(w, "sent\t%d blobs, %d files of states, %d of the ledger\t%s\n", s.SentBlobs, s.SentFiles, s.SentLedger, sizeText(s.SentBytes))
	return w.Flush()
}

// backupPoint is a line of a list.
type backupPoint struct {
	Point     uint64    `json:"point"`
	Time      time.Time `json:"time,omitzero"`
	Taken     time.Time `json:"taken,omitzero"`
	Node      uint32    `json:"node,omitempty"`
	Version   string    `json:"version,omitempty"`
	Blobs     uint64    `json:"blobs"`
	BlobBytes uint64    `json:"blob_bytes"`
	Problem   string    `json:"problem,omitempty"`
}

func backupListCommand() *cobra.Command {
	p := &backupPlace{}
	c := &cobra.Command{
		Use:   "list DIR|s3://BUCKET/PREFIX",
		Short: "List the points of a backup",
		Long:  "List the points of a backup, by the number that restore-cluster takes as --point.\n\n" + backupKeys,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			p.place = args[0]
			return p.list(ctx, c.OutOrStdout())
		},
	}
	p.flags(c, "", "")
	return c
}

func (p *backupPlace) list(ctx context.Context, out io.Writer) error {
	t, err := p.target()
	if err != nil {
		return err
	}
	all, err := backup.Points(ctx, t)
	if err != nil {
		return err
	}
	points := make([]backupPoint, 0, len(all))
	damaged := 0
	for _, seq := range all {
		x, err := backup.ReadPoint(ctx, t, seq)
		if err != nil {
			damaged++
			points = append(points, backupPoint{Point: seq, Problem: err.Error()})
			continue
		}
		points = append(points, backupPoint{
			Point: seq, Time: x.Time, Taken: x.Taken, Node: x.Node, Version: x.Version, Blobs: x.Blobs.Count, BlobBytes: x.Blobs.Bytes,
		})
	}
	if err := p.printPoints(out, points); err != nil {
		return err
	}
	switch {
	case damaged > 0:
		return fmt.Errorf("%d points cannot be read", damaged)
	case len(all) == 0:
		return fmt.Errorf("%s holds no point", t)
	}
	return nil
}

func (p *backupPlace) printPoints(out io.Writer, points []backupPoint) error {
	if p.json {
		return printJSON(out, points)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "POINT\tLAST EVENT\tTAKEN\tNODE\tBLOBS\tBYTES")
	for _, x := range points {
		if x.Problem != "" {
			fmt.Fprintf(w, "%d\t%s\n", x.Point, plainText(x.Problem))
			continue
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%s\n", x.Point, x.Time.Format(time.RFC3339), x.Taken.Format(time.RFC3339), x.Node, x.Blobs, sizeText(x.BlobBytes))
	}
	return w.Flush()
}

func backupVerifyCommand() *cobra.Command {
	p := &backupPlace{}
	var points []uint
	var quick bool
	var temp string
	c := &cobra.Command{
		Use:   "verify DIR|s3://BUCKET/PREFIX",
		Short: "Verify a backup",
		Long: `Read all of a backup and verify it: every file and every blob by its SHA-256, the ledger by its tree, signature and payloads, each state
by opening it and reading all of its rows (in --temp, one at a time). What is damaged or missing is named, and
which points are not whole because of it. Files that are damaged may be removed from the place: the next backup sends them again, if the cluster still has them.

` + backupKeys,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			p.place = args[0]
			v := backup.Verify{Quick: quick}
			for _, n := range points {
				v.Points = append(v.Points, uint64(n))
			}
			if !quick {
				if v.Dir, err = os.MkdirTemp(temp, "ironman-backup-"); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(v.Dir)) }()
				v.FS = vfs.Default
			}
			return p.verify(ctx, c.OutOrStdout(), v)
		},
	}
	p.flags(c, "", "")
	c.Flags().UintSliceVar(&points, "point", nil, "only these points")
	c.Flags().StringVar(&temp, "temp", "", "a directory with room for a state of the cluster (default the system's for temporary files)")
	c.Flags().BoolVar(&quick, "quick", false, "only look whether everything is there and as long as it was")
	return c
}

func (p *backupPlace) verify(ctx context.Context, out io.Writer, v backup.Verify) error {
	var err error
	if v.Target, err = p.target(); err != nil {
		return err
	}
	b := &bars{}
	v.Progress = b.at
	r, err := v.Run(ctx)
	b.end()
	if err != nil {
		return err
	}
	whole := 0
	for i := range r.Points {
		if !r.Damaged(r.Points[i].Seq) {
			whole++
		}
	}
	if p.json {
		err = printJSON(out, r)
	} else {
		for _, x := range r.Problems {
			fmt.Fprintf(out, "%s\n  %s\n  points that are not whole: %d\n", x.Name, plainText(x.Text), x.Points)
		}
		if r.Absent > 0 {
			fmt.Fprintf(out, "of %d blobs there are no bytes: the cluster had lost them when the points were taken\n", r.Absent)
		}
		_, err = fmt.Fprintf(out, "%d points are whole; %d blobs, %s read\n", whole, r.Blobs, sizeText(r.Bytes))
	}
	switch {
	case err != nil:
		return err
	case len(r.Problems) > 0:
		return fmt.Errorf("%s is damaged: %d problems", v.Target, len(r.Problems))
	case len(r.Points) == 0:
		return fmt.Errorf("%s holds no point", v.Target)
	}
	return nil
}
