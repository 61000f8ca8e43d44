package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ironman/server"
	"ironman/server/audit"
)

// eraseFlags say what is erased, and how.
type eraseFlags struct {
	*auditFlags
	admin       []string
	prefix      string
	dryRun, yes bool
	wait        bool
	patience    time.Duration
	in          io.Reader
}

func (f *auditFlags) eraseCommand() *cobra.Command {
	e := &eraseFlags{auditFlags: f}
	c := &cobra.Command{
		Use:   "erase BUCKET KEY...",
		Short: "Erase, by law, what a running cluster's record and files tell of keys that exist no more",
		Long: `Erase, by law, what a running cluster's record and files tell of keys that exist no more: their names, where they were copied from,
headers, user metadata, tags, and the addresses of those who asked. BUCKET is a name (all buckets that ever had it), or "#15": the one with the id 15.

Keys that exist, have versions or delete markers, are being uploaded, or are still in the history that is kept, are refused, and then
nothing has changed. What goes is found first and shown. Then an event names the sequences (no names), and every node takes away what they tell:
in logs of reads, the log, the state's files, snapshots and the ledger. Their hashes stay, so that the ledger and every proof verify as before.
The record itself stays: that there was an event, when, by whom and with what outcome.

A node that is away does so when it is back. With --wait the command waits for all of them, and fails if one has not done it in time.
Nobody reaches backups and exported ledgers that were made before; and the disk's blocks that held the data are freed, not overwritten.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			e.in = c.InOrStdin()
			return e.run(ctx, c.OutOrStdout(), &server.Erase{Bucket: args[0], Keys: args[1:], Prefix: e.prefix})
		},
	}
	e.adminFlag(c)
	c.Flags().StringVar(&e.prefix, "prefix", "", "all keys that begin so")
	c.Flags().BoolVar(&e.dryRun, "dry-run", false, "show what would be erased, and erase nothing")
	c.Flags().BoolVarP(&e.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&e.wait, "wait", false, "wait until every node has done it")
	c.Flags().DurationVar(&e.patience, "timeout", time.Hour, "how long --wait waits")
	return c
}

func (f *auditFlags) erasuresCommand() *cobra.Command {
	e := &eraseFlags{auditFlags: f}
	c := &cobra.Command{
		Use:   "erasures",
		Short: "Show all erasures, and how far each node of a running cluster has carried them out",
		Long: `Show all erasures, and how far each node of a running cluster has carried them out. Fails if a node has not done all of them,
or does not answer.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			s, err := e.online(e.admin)
			if err != nil {
				return err
			}
			x, err := s.erasures(ctx)
			if err != nil {
				return err
			}
			if e.json {
				err = printJSON(c.OutOrStdout(), x)
			} else {
				err = tellErasures(c.OutOrStdout(), x)
			}
			if err == nil {
				err = notDone(x)
			}
			return err
		},
	}
	e.adminFlag(c)
	return c
}

func (e *eraseFlags) adminFlag(c *cobra.Command) {
	c.Flags().StringSliceVar(&e.admin, "admin", []string{"http://127.0.0.1:9200"}, "addresses of nodes' admin listeners, asked in turn; in --dir only the root keys are looked for")
}

func (e *eraseFlags) run(ctx context.Context, out io.Writer, what *server.Erase) error {
	s, err := e.online(e.admin)
	if err != nil {
		return err
	}
	if e.dryRun || !e.yes {
		what.DryRun = true
		plan, err := s.erase(ctx, what)
		if err != nil {
			return err
		}
		if e.json {
			err = printJSON(out, plan)
		} else {
			err = tellPlan(out, plan)
		}
		if err != nil || e.dryRun || plan.Payloads == 0 {
			return err
		}
		if err := e.confirm(plan); err != nil {
			return err
		}
		what.DryRun = false
	}
	plan, err := s.erase(ctx, what)
	if err != nil {
		return err
	}
	if plan.Payloads == 0 {
		_, err := fmt.Fprintln(os.Stderr, "nothing is recorded of these keys that is not erased already")
		return err
	}
	if e.json {
		err = printJSON(out, plan)
	} else {
		_, err = fmt.Fprintf(out, "%d items of %d events are erased by event %s\n%s", plan.Items, plan.Payloads, strings.Trim(fmt.Sprint(plan.Erasures), "[]"), contextsStay(plan))
	}
	if err != nil || !e.wait {
		return err
	}
	return e.await(ctx, s)
}

// confirm asks whether it is meant.
func (e *eraseFlags) confirm(plan *server.ErasePlan) error {
	fmt.Fprintf(os.Stderr, "Erase %d items of %d events, for ever? [y/N] ", plan.Items, plan.Payloads)
	answer, err := bufio.NewReader(e.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was erased (without a terminal, say --yes)")
	}
	return nil
}

// await waits for every node.
func (e *eraseFlags) await(ctx context.Context, s *feedSource) error {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	var last *server.Erasures
	said := ""
	for {
		x, err := s.erasures(ctx)
		if err == nil {
			last = x
			if x.Done() {
				fmt.Fprintln(os.Stderr, "every node has done it"+outOfReach(x))
				return nil
			}
			if now := stages(x); now != said {
				said = now
				fmt.Fprintln(os.Stderr, now)
			}
		} else if final(err) {
			return err
		}
		select {
		case <-ctx.Done():
			if last == nil {
				return errors.Join(errors.New("whether the nodes have done it is not known"), err)
			}
			return notDone(last)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// stages tells what each node is doing.
func stages(x *server.Erasures) string {
	var parts []string
	for _, n := range x.Nodes {
		what := "waits"
		switch {
		case n.Done:
			what = "done"
		case n.Problem != "":
			what = n.Problem
		case n.Stage != "":
			what = n.Stage
		}
		parts = append(parts, fmt.Sprintf("node %d: %s", n.Node, what))
	}
	return strings.Join(parts, "; ")
}

// outOfReach names the nodes that were removed; "": there are none.
func outOfReach(x *server.Erasures) string {
	if len(x.Removed) == 0 {
		return ""
	}
	return "; out of reach is what the disks of nodes hold that were removed: " + strings.Trim(fmt.Sprint(x.Removed), "[]")
}

// notDone is an error if a node has not carried everything out.
func notDone(x *server.Erasures) error {
	var left []string
	for _, n := range x.Nodes {
		if !n.Done {
			left = append(left, fmt.Sprint(n.Node))
		}
	}
	if x.Done() {
		return nil
	}
	if len(x.Nodes) == 0 {
		return errors.New("no node is known: whether any has done it cannot be said")
	}
	return fmt.Errorf("not done yet on node %s: it goes on by itself there (%s)", strings.Join(left, ", "), stages(x))
}

func tellPlan(out io.Writer, p *server.ErasePlan) error {
	if p.Payloads == 0 {
		_, err := fmt.Fprintln(out, "nothing is recorded of these keys that is not erased already")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SEQ\tEVENT\tITEMS\tKEYS")
	for i := range p.Found {
		f := &p.Found[i]
		var keys []string
		for _, k := range f.Keys {
			keys = append(keys, quoted(k))
		}
		if more := f.Count - len(f.Keys); more > 0 {
			keys = append(keys, fmt.Sprintf("and %d more", more))
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\n", f.Seq, f.Kind, f.Items, strings.Join(keys, " "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if more := p.Payloads - uint64(len(p.Found)); more > 0 {
		if _, err := fmt.Fprintf(out, "and %d more\n", more); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%d items of %d events\n", p.Items, p.Payloads)
	if err == nil {
		_, err = io.WriteString(out, contextsStay(p))
	}
	return err
}

// contextsStay warns of what an erasure cannot take; "": there is nothing.
func contextsStay(p *server.ErasePlan) string {
	if p.Contexts == 0 {
		return ""
	}
	return fmt.Sprintf("%d of them tell of an encryption context (SSE-KMS), as the client chose it: that stays in the record\n", p.Contexts)
}

func tellErasures(out io.Writer, x *server.Erasures) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, e := range x.Erasures {
		fmt.Fprintf(w, "event %d\t%s\t%d payloads\n", e.Seq, e.Time.Format(time.RFC3339), e.Payloads)
	}
	for _, n := range x.Nodes {
		what := "done"
		if !n.Done {
			what = fmt.Sprintf("not done (through %d) %s %s", n.Through, n.Stage, n.Problem)
		}
		fmt.Fprintf(w, "node %d\t%s\t\n", n.Node, strings.TrimSpace(what))
	}
	for _, n := range x.Removed {
		fmt.Fprintf(w, "node %d\tremoved: what its disks hold is out of reach\t\n", n)
	}
	return w.Flush()
}

// erase asks for an erasure, or for what it would be.
func (s *feedSource) erase(ctx context.Context, what *server.Erase) (*server.ErasePlan, error) {
	b, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	var resp *http.Response
	for range s.addresses {
		var r *http.Request
		if r, err = http.NewRequestWithContext(ctx, http.MethodPost, s.addresses[s.at]+"/-/erasures", bytes.NewReader(b)); err != nil {
			return nil, err
		}
		if err = s.sign(r); err != nil {
			return nil, err
		}
		if resp, err = s.client.Do(r); err == nil {
			break
		}
		if !what.DryRun && !notAsked(err) && ctx.Err() == nil { // it may have been done: that is for the caller to look at
			return nil, fmt.Errorf("%w; whether anything was erased \"ironman audit erasures\" tells", err)
		}
		s.at = (s.at + 1) % len(s.addresses)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what came of it will do
		return nil, fmt.Errorf("%s answered %s: %s", s.addresses[s.at], resp.Status, strings.TrimSpace(string(b)))
	}
	return readPlan(resp.Body)
}

// notAsked tells whether a request failed before it was sent.
func notAsked(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// readPlan reads the lines of an answer to a request to erase.
func readPlan(body io.Reader) (*server.ErasePlan, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, feedLine)
	bar := newProgress("searched")
	defer bar.end()
	found := []audit.Found{}
	for lines.Scan() {
		var line struct {
			Done, Total uint64
			Found       *audit.Found
			Plan        *server.ErasePlan
			Error       string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		switch {
		case line.Error != "":
			return nil, errors.New(strings.TrimSpace(line.Error))
		case line.Plan != nil:
			line.Plan.Found = found
			return line.Plan, nil
		case line.Found != nil:
			found = append(found, *line.Found)
			continue
		}
		bar.at(line.Done, line.Total)
	}
	return nil, errors.Join(errors.New(`the answer broke off: whether anything was erased "ironman audit erasures" tells`), lines.Err())
}

// erasures asks how far all nodes are: the first that answers.
func (s *feedSource) erasures(ctx context.Context) (x *server.Erasures, err error) {
	for range s.addresses {
		var resp *http.Response
		if resp, err = s.ask(ctx, http.MethodGet, "/-/erasures", url.Values{}, nil); err == nil {
			x = &server.Erasures{}
			err = errors.Join(json.NewDecoder(io.LimitReader(resp.Body, feedLine)).Decode(x), resp.Body.Close())
			return x, err
		}
		if final(err) {
			return nil, err
		}
		s.at = (s.at + 1) % len(s.addresses)
	}
	return nil, err
}
