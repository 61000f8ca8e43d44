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

	"ironman/erasure"
	"ironman/server"
)

func (f *adminFlags) quotaCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "quota",
		Short: "Show what buckets and accounts hold, and bound it",
		Long: `Show what buckets and accounts hold, and bound it. A quota counts all versions of
objects, but delete markers, and the parts of open uploads. What would grow beyond it is
refused with 403 QuotaExceeded, decided in the order of the log: of racing writers none
gets past it. What is there already stays, and may be deleted or replaced by less.`,
	}
	c.AddCommand(f.showQuotaCommand(), f.setQuotaCommand(), f.removeQuotaCommand())
	return c
}

// quotaTarget is the bucket or account that flags name.
type quotaTarget struct{ bucket, account string }

func (q *quotaTarget) flags(c *cobra.Command) {
	c.Flags().StringVar(&q.bucket, "bucket", "", "name of the bucket")
	c.Flags().StringVar(&q.account, "account", "", "number of the account, 12 digits: all its buckets together")
	c.MarkFlagsMutuallyExclusive("bucket", "account")
}

func (q *quotaTarget) query() url.Values {
	v := url.Values{}
	if q.bucket != "" {
		v.Set("bucket", q.bucket)
	}
	if q.account != "" {
		v.Set("account", q.account)
	}
	return v
}

func (f *adminFlags) showQuotaCommand() *cobra.Command {
	var of quotaTarget
	c := &cobra.Command{
		Use:   "show [--bucket B | --account A]",
		Short: "Show what a bucket or an account holds, may hold and has left; without either, all of them",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if q := of.query(); len(q) > 0 {
				return f.printHolding(c.OutOrStdout(), http.MethodGet, "/-/quotas", q)
			}
			if f.json {
				return f.collectHoldings(c.OutOrStdout())
			}
			return f.listHoldings(c.OutOrStdout())
		},
	}
	of.flags(c)
	return c
}

func (f *adminFlags) setQuotaCommand() *cobra.Command {
	var of quotaTarget
	var size string
	var objects uint64
	c := &cobra.Command{
		Use:   "set --bucket B|--account A [--size 10GiB] [--objects N]",
		Short: "Bound what a bucket, or all buckets of an account together, may hold",
		Long: `Bound what a bucket, or all buckets of an account together, may hold. A bound that is not
given stays as it is; 0 ends it. The first quota of an account makes every node count its
buckets once.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			q := of.query()
			if c.Flags().Changed("size") {
				n, err := erasure.ParseBytes(size)
				if err != nil {
					return fmt.Errorf("--size: %w", err)
				}
				q.Set("bytes", strconv.FormatInt(n, 10))
			}
			if c.Flags().Changed("objects") {
				q.Set("objects", strconv.FormatUint(objects, 10))
			}
			return f.printHolding(c.OutOrStdout(), http.MethodPost, "/-/quotas/set", q)
		},
	}
	of.flags(c)
	c.MarkFlagsOneRequired("bucket", "account")
	c.Flags().StringVar(&size, "size", "", "bytes, such as 10GiB or 500MB; 0: no bound")
	c.Flags().Uint64Var(&objects, "objects", 0, "number of objects, with all their versions; 0: no bound")
	c.MarkFlagsOneRequired("size", "objects")
	return c
}

func (f *adminFlags) removeQuotaCommand() *cobra.Command {
	var of quotaTarget
	c := &cobra.Command{
		Use:   "remove --bucket B|--account A",
		Short: "End the quota of a bucket or an account",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			q := of.query()
			q.Set("bytes", "0")
			q.Set("objects", "0")
			return f.printHolding(c.OutOrStdout(), http.MethodPost, "/-/quotas/set", q)
		},
	}
	of.flags(c)
	c.MarkFlagsOneRequired("bucket", "account")
	return c
}

// printHolding asks about one bucket or account, or changes it, and prints the answer.
func (f *adminFlags) printHolding(out io.Writer, method, path string, q url.Values) error {
	var h server.Holding
	if err := f.ask(method, path, q, &h, time.Minute); err != nil {
		return err
	}
	if f.json {
		return printJSON(out, h)
	}
	return printHoldings(out, h.Bucket == "", h)
}

// bucketPages asks for all buckets, page by page.
func (f *adminFlags) bucketPages(each func([]server.Holding) error) error {
	for above := ""; ; {
		var page server.HoldingPage
		if err := f.ask(http.MethodGet, "/-/quotas/buckets", url.Values{"above": {above}}, &page, time.Minute); err != nil {
			return err
		}
		if err := each(page.Buckets); err != nil || !page.More {
			return err
		}
		if len(page.Buckets) == 0 {
			return errors.New("the node answered with a page of no buckets that is not the last")
		}
		above = page.Buckets[len(page.Buckets)-1].Bucket
	}
}

// collectHoldings prints all accounts and buckets as one document.
func (f *adminFlags) collectHoldings(out io.Writer) error {
	all := struct {
		Accounts []server.Holding `json:"accounts"`
		Buckets  []server.Holding `json:"buckets"`
	}{Buckets: []server.Holding{}}
	if err := f.ask(http.MethodGet, "/-/quotas/accounts", nil, &all.Accounts, time.Minute); err != nil {
		return err
	}
	err := f.bucketPages(func(page []server.Holding) error {
		all.Buckets = append(all.Buckets, page...)
		return nil
	})
	if err != nil {
		return err
	}
	return printJSON(out, all)
}

// listHoldings prints all accounts, then the buckets as their pages come.
func (f *adminFlags) listHoldings(out io.Writer) error {
	var accounts []server.Holding
	if err := f.ask(http.MethodGet, "/-/quotas/accounts", nil, &accounts, time.Minute); err != nil {
		return err
	}
	if err := printHoldings(out, true, accounts...); err != nil {
		return err
	}
	return f.bucketPages(func(page []server.Holding) error {
		if len(page) == 0 {
			return nil
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
		return printHoldings(out, false, page...)
	})
}

func printHoldings(out io.Writer, accounts bool, list ...server.Holding) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	first := "BUCKET\tACCOUNT"
	if accounts {
		first = "ACCOUNT\tNAME"
	}
	fmt.Fprintln(w, first+"\tOBJECTS\tSIZE\tNONCURRENT\tSIZE\tUPLOADS\tSIZE\tQUOTA OBJECTS\tLEFT\tQUOTA SIZE\tLEFT")
	for _, h := range list {
		first, second := h.Bucket, h.Account
		if accounts {
			first, second = h.Account, h.Name
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", first, second, h.Objects, sizeText(h.Bytes),
			h.Noncurrent, sizeText(h.NoncurrentBytes), h.Uploads, sizeText(h.PartBytes),
			boundText(h.Quota.Objects, countText), boundText(h.Left.Objects, countText),
			boundText(h.Quota.Bytes, sizeText), boundText(h.Left.Bytes, sizeText))
	}
	return w.Flush()
}

func boundText(n *uint64, text func(uint64) string) string {
	if n == nil {
		return "-"
	}
	return text(*n)
}

func countText(n uint64) string { return strconv.FormatUint(n, 10) }

// sizeText is a number of bytes for people: exact where it is short.
func sizeText(n uint64) string {
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	at, whole := 0, n
	for at < len(units)-1 && whole >= 1<<10 {
		at, whole = at+1, whole>>10
	}
	if whole<<(10*at) == n {
		return fmt.Sprintf("%d %s", whole, units[at])
	}
	return fmt.Sprintf("%.1f %s", float64(n)/float64(uint64(1)<<(10*at)), units[at])
}
