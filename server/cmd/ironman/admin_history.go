package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ironman/server"
)

func (f *adminFlags) historyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "Show how long history is kept, and change it",
		Long: `Show how long what was overwritten, deleted or set anew can be read: by default, and of every
bucket that has, or had, a retention of its own. A bucket that was deleted keeps its history
as long as its own retention says.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.listHistory(c.OutOrStdout()) },
	}
	c.AddCommand(f.setHistoryCommand())
	return c
}

func (f *adminFlags) setHistoryCommand() *cobra.Command {
	strict := false
	c := &cobra.Command{
		Use:   "set [BUCKET] DURATION|default [--strict]",
		Short: "Say how long history is kept from now on",
		Long: `Say how long history is kept from now on: in a bucket, or wherever a bucket does not say. A
bucket that is gone is named by "#" and its id. A duration is such as 7d, 36h or 90m; 0 keeps
nothing; default lets a bucket keep what the cluster does. What is gone does not come back.`,
		Example: `  ironman admin history set 7d
  ironman admin history set scratch 0
  ironman admin history set records 365d --strict
  ironman admin history set records default`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			retention := args[len(args)-1]
			if retention != "default" {
				if _, err := server.ParseRetention(retention); err != nil {
					return err
				}
			}
			q := url.Values{"retention": {retention}, "strict": {strconv.FormatBool(strict)}}
			if len(args) == 2 {
				if args[0] == "" {
					return errors.New("the bucket has no name")
				}
				q.Set("bucket", args[0])
			}
			var set server.Retention
			if err := f.ask(http.MethodPost, "/-/history/set", q, &set, time.Minute); err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), set)
			}
			return printHistory(c.OutOrStdout(), set)
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "keep it so long even where disks fill up")
	return c
}

// listHistory prints the cluster's retention and those of all buckets that have their own.
func (f *adminFlags) listHistory(out io.Writer) error {
	var all server.Retentions
	for above := uint64(0); ; {
		var page server.Retentions
		q := url.Values{"above": {strconv.FormatUint(above, 10)}}
		if err := f.ask(http.MethodGet, "/-/history", q, &page, time.Minute); err != nil {
			return err
		}
		all.Cluster = page.Cluster
		all.Buckets = append(all.Buckets, page.Buckets...)
		if !page.More {
			break
		}
		if len(page.Buckets) == 0 {
			return errors.New("the node answered with a page of no buckets that is not the last")
		}
		above = page.Buckets[len(page.Buckets)-1].BucketID
	}
	if f.json {
		return printJSON(out, all)
	}
	return printHistory(out, append([]server.Retention{all.Cluster}, all.Buckets...)...)
}

func printHistory(out io.Writer, list ...server.Retention) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "BUCKET\tRETENTION\tSTRICT\tOLDEST SEQUENCE\tOLDEST TIME\tROWS\tNOTE")
	for _, r := range list {
		name, note, rows := r.Bucket, "", "being counted"
		switch {
		case r.BucketID == 0:
			name = "(default)"
		case r.Deleted:
			name, note = fmt.Sprintf("%s (#%d)", r.Bucket, r.BucketID), "deleted"
		}
		if r.Inherits {
			note += " the default again"
		}
		if r.Rows != nil {
			rows = strconv.FormatInt(*r.Rows, 10)
		}
		strict := "no"
		if r.Strict {
			strict = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", name, r.Text, strict, r.OldestSeq, r.OldestTime.Format(time.RFC3339), rows, note)
	}
	return w.Flush()
}
