package main

import (
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"ironman/server"
)

// keyringCommand changes the keyring of a node that does not run.
func keyringCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "keyring", Short: "Change the keyring of a node that does not run"}
	rotate := &cobra.Command{
		Use:   "rotate-sse --dir DIR",
		Short: "Add a master secret for encrypted objects",
		Long: `Add a master secret for encrypted objects (SSE-S3 and SSE-KMS) to DIR/keyring.json. What is
written from then on is wrapped under it; everything older still opens, for older secrets are kept.

In a cluster: stop all nodes, run this for one of them, copy its keyring.json to all the others, and start them.
A node that lacks a master answers 500 for objects that were wrapped under it, and loses nothing.
"ironman admin kms" shows which masters a node has. Keep a copy of the new file where the old one's is.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			abs, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			ids, err := server.RotateSSE(vfs.Default, abs, true)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "New objects will be wrapped under master %s. Copy %s to every other node before any of them starts.\n",
				ids[len(ids)-1], filepath.Join(abs, "keyring.json"))
			return nil
		},
	}
	rotate.Flags().StringVar(&dir, "dir", "", "directory of the node (required)")
	_ = rotate.MarkFlagRequired("dir")
	c.AddCommand(rotate)
	return c
}

// kmsCommand asks a node for its keys.
func (f *adminFlags) kmsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kms",
		Short: "Show which keys for SSE-KMS a node accepts, and its master secrets by name",
		Long: `Show which keys for SSE-KMS a node accepts (--kms-keys of "ironman server"), and the names of
the master secrets in its keyring, from which all keys are derived. A new key needs nothing but its id in --kms-keys
of every node. All nodes must show the same.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var k server.KMS
			if err := f.get("/-/kms", nil, &k); err != nil {
				return err
			}
			return printJSON(c.OutOrStdout(), k)
		},
	}
}
