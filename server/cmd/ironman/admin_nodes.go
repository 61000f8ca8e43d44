package main

import (
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

func (f *adminFlags) nodesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "nodes",
		Short: "Show the nodes of the cluster, as one of them sees them",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var nodes []server.NodeState
			if err := f.get("/-/nodes", nil, &nodes); err != nil {
				return err
			}
			return f.printNodes(c.OutOrStdout(), nodes)
		},
	}
}

func (f *adminFlags) removeNodeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove-node NUMBER",
		Short: "Shut a node out of the cluster for good",
		Long: `Shut a node out of the cluster for good: its key and its number are never accepted again.
What its disks held is read from the shards on other nodes. Ask any other node.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := strconv.ParseUint(args[0], 10, 32); err != nil {
				return fmt.Errorf("%q is not the number of a node", args[0])
			}
			var nodes []server.NodeState
			if err := f.ask(http.MethodPost, "/-/nodes/remove", url.Values{"node": {args[0]}}, &nodes, 2*time.Minute); err != nil {
				return err
			}
			return f.printNodes(c.OutOrStdout(), nodes)
		},
	}
}

func (f *adminFlags) printNodes(out io.Writer, nodes []server.NodeState) error {
	if f.json {
		return printJSON(out, nodes)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tROLE\tLINK\tCONNECTED\tEVENTS\tAGREES\tCLOCK\tROUND TRIP\tDISKS\tSTART\tPROBLEM")
	for _, n := range nodes {
		name := strconv.FormatUint(uint64(n.Node), 10)
		if n.Self {
			name += " *"
		}
		problem := n.Problem
		if n.Differs != "" {
			problem = n.Differs
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%d\t%d\t%+.1f ms\t%.2f ms\t%d\t%d\t%s\n", name, n.Role, n.Address, n.Connected,
			n.Events, n.Agrees, n.ClockOffset, n.RoundTrip, n.Disks, n.Boot, problem)
	}
	return w.Flush()
}
