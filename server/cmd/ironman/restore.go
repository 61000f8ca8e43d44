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
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ironman/server"
)

const (
	// restoreAnswer bounds the answer of a step, restorePatience how long no node need answer.
	restoreAnswer   = 64 << 20
	restorePatience = 2 * time.Minute
)

// restoreFlags say what is restored.
type restoreFlags struct {
	source            sourceFlags
	to, prefix        string
	seen              uint64
	objects, dry, yes bool
	verbose, json     bool
	bucket            string
	in                io.Reader
	out               io.Writer
}

func restoreCommand() *cobra.Command {
	f := &restoreFlags{}
	c := &cobra.Command{
		Use:   "restore BUCKET --to MOMENT",
		Short: "Make a bucket what it was at an earlier moment",
		Long: `Make a bucket what it was at an earlier moment: its objects with their headers, tags and ACLs, its own ACL, its policy and its other documents. No byte is
moved, and nothing had to be planned for it: any moment that the history retention still covers will do. A bucket that was deleted since is made again.

Each object comes back whole or not at all, while the cluster goes on to serve. What somebody changes after the restore has begun is left alone and named.
Objects that were not there are deleted as by a DELETE. In a bucket with versions every change is a new version in front of the others. Locks, versioning and
quotas stay as they are. A restore can be undone by another one, to the moment before it, which is printed; and one that broke off can just be started again.

The root keys are taken from IRONMAN_ROOT_ACCESS_KEY and IRONMAN_ROOT_SECRET_KEY, or from root-credentials.json in --dir.`,
		Example: `  ironman restore photos --to 2026-01-02T03:04:05Z --dry-run
  ironman restore photos --to 2026-01-02T03:04:05Z --prefix 2025/
  ironman restore photos --to 4711 --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			f.bucket, f.in, f.out = args[0], c.InOrStdin(), c.OutOrStdout()
			return f.run(ctx)
		},
	}
	c.Flags().StringSliceVar(&f.source.addresses, "admin", []string{"http://127.0.0.1:9200"}, "addresses of nodes' admin listeners, asked in turn")
	c.Flags().StringVar(&f.source.dir, "dir", "", "a node's directory, to read the root keys from")
	c.Flags().StringVar(&f.to, "to", "", "the moment: a time in whole seconds (2026-01-02T03:04:05Z), or the sequence of the last event that counts")
	c.Flags().StringVar(&f.prefix, "prefix", "", "only objects whose keys begin so; the bucket's settings stay")
	c.Flags().BoolVar(&f.objects, "objects-only", false, "the bucket's ACL, policy and other documents stay")
	c.Flags().Uint64Var(&f.seen, "seen", 0, "go on with a restore that began here, as it printed: what was changed from this sequence on stays")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "print what would be done, and change nothing")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&f.verbose, "verbose", false, "print every key that is changed")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON: a line for each key, then one for the whole")
	if err := c.MarkFlagRequired("to"); err != nil {
		panic(err)
	}
	return c
}

// restoreSum is what a restore did, or would do.
type restoreSum struct {
	Put      int      `json:"put"`            // objects that came back
	Removed  int      `json:"removed"`        // objects that had not been there
	Changed  int      `json:"changed"`        // objects that got ACL and tags back
	Failed   int      `json:"failed"`         // objects that were left
	Bytes    uint64   `json:"bytes"`          // of the objects that came back
	Settings []string `json:"settings"`       // that were changed
	Left     []string `json:"left,omitempty"` // settings that somebody has changed meanwhile
	Made     bool     `json:"made"`           // the bucket was made again
	To       uint64   `json:"to"`             // the last event that counts
	// Undo is the sequence to restore to if all of it is to be undone.
	Undo uint64 `json:"undo"`
	Dry  bool   `json:"dry_run"`
}

func (f *restoreFlags) run(ctx context.Context) error {
	s, err := f.source.open()
	if err != nil {
		return err
	}
	var plan server.RestorePlan
	if err := s.exchange(ctx, http.MethodGet, "/-/restore", url.Values{"bucket": {f.bucket}, "to": {f.to}}, &plan); err != nil {
		return err
	}
	if f.prefix != "" || f.objects {
		plan.Settings = nil
	}
	if f.seen > plan.Seen || f.seen != 0 && f.seen < plan.To {
		return fmt.Errorf("--seen: a restore to that moment can have begun from %d to %d", plan.To, plan.Seen)
	}
	if f.seen != 0 {
		plan.Seen = f.seen
	}
	f.announce(&plan)
	if !f.yes {
		sum, err := f.objectsOf(ctx, s, &plan, true)
		if err != nil {
			return err
		}
		sum.Settings, sum.Made = plan.Settings, plan.Bucket == 0
		if err := f.report(sum); err != nil || f.dry || sum.nothing() {
			return err
		}
		if err := f.confirm(); err != nil {
			return err
		}
	}
	if f.dry {
		return errors.New("--dry-run changes nothing, so there is nothing to say --yes to")
	}
	made := plan.Bucket == 0
	done := server.RestorePlan{}
	if len(plan.Settings) > 0 || made {
		q := url.Values{"bucket": {f.bucket}, "to": {strconv.FormatUint(plan.To, 10)}, "seen": {strconv.FormatUint(plan.Seen, 10)}}
		if err := s.exchange(ctx, http.MethodPost, "/-/restore/settings", q, &done); err != nil {
			return err
		}
		plan.Bucket = done.Bucket
		if made {
			plan.Seen = done.Seen
		}
	}
	sum, err := f.objectsOf(ctx, s, &plan, false)
	if err != nil {
		return fmt.Errorf("%w\nwhat was done stays; to go on, start it again with --seen %d", err, plan.Seen)
	}
	sum.Settings, sum.Made, sum.Left = done.Settings, made, done.Left
	if err := f.report(sum); err != nil {
		return err
	}
	if left := sum.Failed + len(sum.Left); left > 0 {
		return fmt.Errorf("%d keys and settings were left as they are; to try again what had no room, start it again with --seen %d", left, plan.Seen)
	}
	return nil
}

func (s *restoreSum) nothing() bool {
	return s.Put+s.Removed+s.Changed+s.Failed+len(s.Settings) == 0 && !s.Made
}

// announce says what is about to be restored.
func (f *restoreFlags) announce(p *server.RestorePlan) {
	if f.json {
		return
	}
	fmt.Fprintf(f.out, "%s as of event %d, at %s\n", p.Name, p.To-1, p.At.Format(time.RFC3339))
}

// confirm asks a person.
func (f *restoreFlags) confirm() error {
	unasked := errors.New("nothing was changed: give --yes to restore without being asked")
	info, err := os.Stdin.Stat()
	if f.json || err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return unasked
	}
	fmt.Fprint(f.out, "Restore? [y/N] ")
	line, err := bufio.NewReader(f.in).ReadString('\n')
	if err != nil { // nobody is there
		return unasked
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// objectsOf takes all steps.
func (f *restoreFlags) objectsOf(ctx context.Context, s *feedSource, p *server.RestorePlan, dry bool) (*restoreSum, error) {
	sum := &restoreSum{To: p.To - 1, Undo: p.Seen - 1, Dry: dry}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	q := url.Values{"bucket": {number(p.Bucket)}, "source": {number(p.Source)}, "to": {number(p.To)}, "seen": {number(p.Seen)}, "prefix": {f.prefix}}
	method := http.MethodPost
	if dry {
		method = http.MethodGet
	}
	bar := &progress{what: "looked at", of: "keys"}
	defer bar.end()
	looked := uint64(0)
	for more := true; more; {
		var step server.RestoreStep
		if err := s.exchange(ctx, method, "/-/restore/objects", q, &step); err != nil {
			return nil, err
		}
		for _, k := range step.Keys {
			sum.add(&k)
			if f.shows(dry, &k) {
				if err := f.print(&k); err != nil {
					return nil, err
				}
			}
		}
		looked += uint64(step.Looked)
		bar.at(looked, max(looked, p.Objects))
		more = step.More
		q.Set("after", string(step.After))
	}
	return sum, nil
}

func (s *restoreSum) add(k *server.RestoredKey) {
	switch {
	case k.Failure != "":
		s.Failed++
	case k.Kind == "put":
		s.Put++
		s.Bytes += k.Size
	case k.Kind == "removed":
		s.Removed++
	case k.Kind == "changed":
		s.Changed++
	}
}

// shows tells whether a key is printed.
func (f *restoreFlags) shows(dry bool, k *server.RestoredKey) bool {
	return f.verbose || k.Failure != "" || dry && f.dry || f.json && !dry
}

func (f *restoreFlags) print(k *server.RestoredKey) error {
	if f.json {
		b, err := json.Marshal(k)
		if err == nil {
			_, err = fmt.Fprintf(f.out, "%s\n", plainJSON(b))
		}
		return err
	}
	word := map[string]string{"put": "put", "removed": "remove", "changed": "acl, tags"}[k.Kind]
	if k.Failure != "" {
		word = "LEFT (" + k.Failure + ")"
	}
	_, err := fmt.Fprintf(f.out, "%-10s %s\n", word, plainText(k.Key))
	return err
}

// plainText is a name that a terminal does not obey.
func plainText(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || commanding(r) }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// report prints the whole.
func (f *restoreFlags) report(s *restoreSum) error {
	if f.json {
		b, err := json.Marshal(s)
		if err == nil {
			_, err = fmt.Fprintf(f.out, "%s\n", b)
		}
		return err
	}
	w := tabwriter.NewWriter(f.out, 0, 4, 2, ' ', 0)
	does := "done"
	if s.Dry {
		does = "to do"
	}
	fmt.Fprintf(w, "%s\tobjects that come back\t%d\t%s\n", does, s.Put, sizeText(s.Bytes))
	fmt.Fprintf(w, "\tobjects removed\t%d\n", s.Removed)
	fmt.Fprintf(w, "\tobjects with ACL and tags of then\t%d\n", s.Changed)
	if s.Failed > 0 {
		fmt.Fprintf(w, "\tobjects left as they are\t%d\n", s.Failed)
	}
	if s.Made {
		fmt.Fprintf(w, "\tthe bucket is made again\t\n")
	}
	if len(s.Settings) > 0 {
		fmt.Fprintf(w, "\tsettings\t%s\n", strings.Join(s.Settings, ", "))
	}
	if len(s.Left) > 0 {
		fmt.Fprintf(w, "\tsettings left, as they were changed meanwhile\t%s\n", strings.Join(s.Left, ", "))
	}
	if err := w.Flush(); err != nil || s.Dry || s.nothing() || s.Made {
		return err
	}
	_, err := fmt.Fprintf(f.out, "To undo it: ironman restore %s --to %d\n", f.bucket, s.Undo)
	return err
}

// exchange asks whichever node answers, and decodes its answer. What is asked for must
// bear being asked for twice.
func (s *feedSource) exchange(ctx context.Context, method, path string, q url.Values, v any) error {
	end := time.Now().Add(restorePatience)
	for failures := 0; ; {
		err := s.exchangeOnce(ctx, method, path, q, v)
		if err == nil || final(err) || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		failures++
		if s.rest(ctx, failures) != nil {
			return err
		}
	}
}

func (s *feedSource) exchangeOnce(ctx context.Context, method, path string, q url.Values, v any) error {
	resp, err := s.ask(ctx, method, path, q, nil)
	var status statusError
	if errors.As(err, &status) && final(err) { // what was asked for is at fault, not a node
		return refusedError{errors.New(status.text)}
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, restoreAnswer))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return refusedError{fmt.Errorf("%s: %w", s.addresses[s.at], err)}
	}
	return nil
}
