// Command ironman is an S3-compatible object store over a replicated, provable
// event log.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ironman/bench"
	"ironman/server"
)

func main() {
	restrictFileModes()
	if err := rootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "ironman:", err)
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "ironman",
		Short:         "An S3-compatible object store over a replicated, provable event log",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serverCommand(), clusterCommand(), adminCommand(), auditCommand(), feedCommand(), restoreCommand(), restoreClusterCommand(), backupCommand(), keyringCommand(), bench.Command(), simCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the release of this binary",
		Args:  cobra.NoArgs,
		Run:   func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "ironman", server.Version()) },
	})
	return root
}
