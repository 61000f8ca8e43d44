package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"ironman/server"
	"ironman/server/audit"
	"ironman/wal/ledger"
)

// readsPage is how many records are asked for at a time.
const readsPage = 10_000

func (f *auditFlags) readsCommand() *cobra.Command {
	var q audit.ReadFilter
	var since, until string
	var admin []string
	c := &cobra.Command{
		Use:   "reads",
		Short: "Print who read, or was refused, which objects at a node, by its own log of reads",
		Long: `Print who read, or was refused, which objects at a node that keeps a log of reads (ironman server --log-reads): GET and HEAD of objects,
pages of websites, and the sources of copies. Each node has its own; with --admin the first of the addresses that answers tells of its own log.

What the log says of itself is printed, too, unless something filters by bucket, key or actor: starts of the node, reads that have no
record, and records that are gone.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if q.Since, err = timeFlag("since", since); err != nil {
				return err
			}
			if q.Until, err = timeFlag("until", until); err != nil {
				return err
			}
			p := newReadPrinter(c.OutOrStdout(), f.json)
			if c.Flags().Changed("admin") {
				s, err := f.online(admin)
				if err != nil {
					return err
				}
				ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
				defer stop()
				return s.reads(ctx, readsQuery(&q), p)
			}
			return f.with(func(ctx context.Context, n *audit.Node) error {
				node, err := f.number()
				if err != nil {
					return err
				}
				return n.Reads(ctx, node, q, p)
			})
		},
	}
	c.Flags().Uint64Var(&q.From, "from", 0, "begin with this record")
	c.Flags().StringVar(&since, "since", "", "only of this time (2026-01-02T03:04:05Z) or later")
	c.Flags().StringVar(&until, "until", "", "only before this time")
	c.Flags().StringVar(&q.Bucket, "bucket", "", `only of this bucket, by the name that was asked for or "#15", its id`)
	c.Flags().StringVar(&q.Key, "key-name", "", "only of this key")
	c.Flags().StringVar(&q.Prefix, "prefix", "", "only of keys that begin so")
	c.Flags().StringVar(&q.Actor, "actor", "", `only by this one: an id, a name that somebody has now, an access key; "anonymous", "system"`)
	c.Flags().StringSliceVar(&q.Operations, "operation", nil, `only of these operations ("GetObject")`)
	c.Flags().BoolVar(&q.Refused, "refused", false, "only what was refused, or not found")
	c.PersistentFlags().StringSliceVar(&admin, "admin", nil, adminUsage)
	c.AddCommand(f.readsVerifyCommand(&admin))
	return c
}

func (f *auditFlags) readsVerifyCommand(admin *[]string) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check a node's log of reads: every hash, and each head of it that the ledger has",
		Long: `Check a node's log of reads: every hash, signature and payload, and each head of it that the ledger has (ReadsNoted). The first bad record is
named. That the ledger itself is whole "ironman audit verify" tells.

Of a node that was killed the last bytes may be no whole record: this says so and fails; the node's next start cuts them off.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			began := time.Now()
			if c.Flags().Changed("admin") {
				ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
				defer stop()
				s, err := f.onlineWithKey(*admin)
				if err != nil {
					return err
				}
				v, err := s.verifiedReads(ctx)
				if err != nil {
					return errors.Join(f.tellReads(c.OutOrStdout(), v, began), err)
				}
				h := &server.ReadsHead{}
				if err := s.exchange(ctx, http.MethodGet, "/-/reads/checkpoint", url.Values{}, h); err != nil {
					return err
				}
				if err := f.trustsReads(h); err != nil {
					return err
				}
				return f.tellReads(c.OutOrStdout(), v, began)
			}
			return f.with(func(ctx context.Context, n *audit.Node) error {
				node, err := f.number()
				if err != nil {
					return err
				}
				b := newProgress("verified")
				v, err := n.VerifyReads(ctx, node, b.at)
				b.end()
				return errors.Join(f.tellReads(c.OutOrStdout(), server.TellReads(node, v), began), err)
			})
		},
	}
}

// number is that of the node whose directory is read.
func (f *auditFlags) number() (uint32, error) { return server.NodeNumber(vfs.Default, f.dir) }

// trustsReads makes sure that the head of a log of reads is signed by the ledger's key.
func (f *auditFlags) trustsReads(h *server.ReadsHead) error {
	key := f.key
	if key == "" {
		key = h.Key
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("the verifier key: %w", err)
	}
	c, err := ledger.OpenCheckpoint([]byte(h.Checkpoint), audit.ReadsOrigin(v.Name(), h.Node), note.VerifierList(v))
	if err != nil {
		return err
	}
	if uint64(c.Tree.N) != h.Records || c.Tree.Hash.String() != h.Root {
		return errors.New("the node's checkpoint is not of what it says")
	}
	return nil
}

func (f *auditFlags) tellReads(out io.Writer, v *server.VerifiedReads, began time.Time) error {
	if v == nil {
		return nil
	}
	if f.json {
		return printJSON(out, v)
	}
	_, err := fmt.Fprintf(out, "node %d: %d records of reads verified in %v, kept from %d on; the ledger has %d heads of the log, of %d starts; %d reads have no record\nroot    %s\n",
		v.Node, v.Records, time.Since(began).Round(time.Millisecond), v.Kept, v.Noted, v.Starts, v.Dropped, v.Root)
	for _, b := range v.SetBack {
		if err == nil {
			_, err = fmt.Fprintf(out, "SET BACK at record %d: %d records had been vouched for\n", b.From, b.Noted)
		}
	}
	return err
}

func timeFlag(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fmt.Errorf("--%s: %q is not a time like 2026-01-02T03:04:05Z", name, s)
	}
	return t, nil
}

// readsQuery is a filter as nodes are asked.
func readsQuery(f *audit.ReadFilter) url.Values {
	q := url.Values{"from": {strconv.FormatUint(f.From, 10)}, "max": {strconv.Itoa(readsPage)}}
	for name, v := range map[string]string{"bucket": f.Bucket, "key": f.Key, "prefix": f.Prefix, "actor": f.Actor} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		q.Set("until", f.Until.Format(time.RFC3339Nano))
	}
	if len(f.Operations) > 0 {
		q["operation"] = f.Operations
	}
	if f.Refused {
		q.Set("refused", "true")
	}
	return q
}

// firstThatAnswers finds the node to ask: another one has another log, so that no further
// one is asked once one has answered.
func (s *feedSource) firstThatAnswers(ctx context.Context, path string, q url.Values) (resp *http.Response, err error) {
	for range s.addresses {
		if resp, err = s.ask(ctx, http.MethodGet, path, q, nil); err == nil || final(err) || ctx.Err() != nil {
			return resp, err
		}
		s.at = (s.at + 1) % len(s.addresses)
	}
	return nil, err
}

// reads prints what a node answers, page by page.
func (s *feedSource) reads(ctx context.Context, q url.Values, tell func(*audit.Read) error) error {
	resp, err := s.firstThatAnswers(ctx, "/-/reads", q)
	for {
		if err != nil {
			return err
		}
		next, last, err := readReads(resp.Body, tell)
		if err := errors.Join(err, resp.Body.Close()); err != nil || last {
			return err
		}
		q.Set("from", strconv.FormatUint(next, 10))
		if resp, err = s.ask(ctx, http.MethodGet, "/-/reads", q, nil); err != nil {
			return fmt.Errorf("from record %d on: %w", next, err)
		}
	}
}

// readReads reads one page.
func readReads(body io.Reader, tell func(*audit.Read) error) (next uint64, last bool, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Read  *audit.Read
			Next  uint64
			Last  bool
			Error string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return 0, false, err
		}
		switch {
		case line.Error != "":
			return 0, false, errors.New(line.Error)
		case line.Read != nil:
			if err := tell(line.Read); err != nil {
				return 0, false, err
			}
		case line.Last || line.Next > 0:
			return line.Next, line.Last, nil
		}
	}
	return 0, false, errors.Join(errors.New("the answer broke off"), lines.Err())
}

// verifiedReads has a node verify its log of reads.
func (s *feedSource) verifiedReads(ctx context.Context) (*server.VerifiedReads, error) {
	resp, err := s.firstThatAnswers(ctx, "/-/reads/verify", url.Values{})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readVerified[server.VerifiedReads](resp.Body)
}

// newReadPrinter prints records as JSON, or in columns.
func newReadPrinter(out io.Writer, asJSON bool) func(*audit.Read) error {
	if asJSON {
		return func(x *audit.Read) error {
			b, err := json.Marshal(x)
			if err == nil {
				_, err = fmt.Fprintf(out, "%s\n", plainJSON(b))
			}
			return err
		}
	}
	row := func(cells ...string) error {
		_, err := fmt.Fprintf(out, "%-9s %-24s  %-16s  %-16s  %-14s  %-36s  %-22s  %s\n",
			cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7])
		return err
	}
	first := true
	return func(x *audit.Read) error {
		if first {
			first = false
			if err := row("RECORD", "TIME", "ACTOR", "FROM", "READ", "ON", "ANSWER", "WHY"); err != nil {
				return err
			}
		}
		from := ""
		if x.Client != nil {
			from = x.Client.Address
		}
		return row(strconv.FormatUint(x.Record, 10), x.Time.Format("2006-01-02T15:04:05.000Z07:00"), quoted(either(x.ActorName, x.Actor)),
			either(from, "-"), either(x.Operation, x.Kind), readOf(x), readAnswer(x), why(&audit.Entry{Why: x.Why}))
	}
}

// readOf is what a record is about.
func readOf(x *audit.Read) string {
	switch x.Kind {
	case "read", "copy_source":
	case "dropped":
		return fmt.Sprintf("%d reads have no record, from %s on", x.Reads, x.Began.Format(time.RFC3339))
	case "set_back":
		return fmt.Sprintf("%d records had been vouched for", x.Vouched)
	case "expired":
		return fmt.Sprintf("%d records from %d on are kept no longer", x.Records, x.From)
	case "erased":
		return fmt.Sprintf("%d records, by event %d", x.Records, x.Event)
	case "begun":
		return fmt.Sprintf("incarnation %d", x.Incarnation)
	default:
		return "-"
	}
	s := quoted(x.Bucket)
	if s == "" && x.BucketID != 0 {
		s = "bucket " + strconv.FormatUint(x.BucketID, 10)
	}
	if x.Key != "" {
		s += "/" + quoted(x.Key)
	}
	if x.Version != "" {
		s += " version " + quoted(x.Version)
	}
	if x.Range != "" {
		s += " " + quoted(x.Range)
	}
	if x.AsOf != 0 {
		s += fmt.Sprintf(" as of %d", x.AsOf)
	}
	if x.Erased > 0 {
		s += fmt.Sprintf(" (%d items erased)", x.Erased)
	}
	return either(s, "-")
}

// readAnswer is what somebody was given.
func readAnswer(x *audit.Read) string {
	if x.Kind != "read" && x.Kind != "copy_source" {
		return "-"
	}
	s := strings.TrimSpace(fmt.Sprintf("%d %s", x.Status, x.Code))
	if x.Kind == "copy_source" {
		return s
	}
	s += fmt.Sprintf(" %d bytes", x.Sent)
	if x.Broken {
		s += " broken off"
	}
	return s
}
