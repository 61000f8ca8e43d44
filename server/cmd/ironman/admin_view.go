package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"ironman/server"
)

// viewCommand gives the name under which a plain client reads a bucket as of a moment.
func (f *adminFlags) viewCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "view BUCKET MOMENT",
		Short: "Print the short name under which clients read a bucket as of a moment",
		Long: `Print the short name under which clients read a bucket as of a moment: a time in whole seconds (2026-01-02T03:04:05Z), or the sequence of the last event
that counts. The bucket of that name can only be read, by whoever may read the past of the bucket, for as long as its history is kept.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var p server.RestorePlan
			if err := f.get("/-/restore", url.Values{"bucket": {args[0]}, "to": {args[1]}}, &p); err != nil {
				return err
			}
			if p.Bucket != p.Source {
				return fmt.Errorf("the bucket %q of that moment is gone; ironman restore makes it again", p.Name)
			}
			name := fmt.Sprintf("%s--at-s%d", p.Name, p.To-1)
			if f.json {
				return printJSON(c.OutOrStdout(), struct {
					Name     string    `json:"name"`
					Sequence uint64    `json:"sequence"`
					At       time.Time `json:"at"`
				}{name, p.To - 1, p.At})
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), name)
			return err
		},
	}
}
