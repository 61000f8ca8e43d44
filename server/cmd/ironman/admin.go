package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ironman/server"
)

// adminFlags say which node is asked, and as whom.
type adminFlags struct {
	address, dir string
	json         bool
}

func adminCommand() *cobra.Command {
	f := &adminFlags{}
	c := &cobra.Command{
		Use:   "admin",
		Short: "Ask a running node",
		Long: `Ask a running node over its admin listener. The root keys are taken from
IRONMAN_ROOT_ACCESS_KEY and IRONMAN_ROOT_SECRET_KEY, or from root-credentials.json in --dir.`,
	}
	c.PersistentFlags().StringVar(&f.address, "admin", "http://127.0.0.1:9200", "address of the node's admin listener")
	c.PersistentFlags().StringVar(&f.dir, "dir", "", "the node's directory, to read the root keys from")
	c.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON")
	c.AddCommand(&cobra.Command{
		Use:   "locate BUCKET KEY",
		Short: "Show where every shard of an object lies",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return f.locate(c.OutOrStdout(), args[0], args[1])
		},
	}, f.nodesCommand(), f.removeNodeCommand(), f.kmsCommand(), f.accountCommand(), f.quotaCommand(), f.viewCommand(), f.historyCommand(), &cobra.Command{
		Use:   "status",
		Short: "Show where a node stands",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s server.Status
			if err := f.get("/-/status", nil, &s); err != nil {
				return err
			}
			return printJSON(c.OutOrStdout(), s)
		},
	})
	return c
}

func (f *adminFlags) locate(out io.Writer, bucket, key string) error {
	var where []server.ShardLocation
	if err := f.get("/-/locate", url.Values{"bucket": {bucket}, "key": {key}}, &where); err != nil {
		return err
	}
	if f.json {
		return printJSON(out, where)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "BLOB\tSHARD\tK+M\tNODE\tDISK\tOFFSET\tLENGTH\tPACK")
	for _, s := range where {
		fmt.Fprintf(w, "%s\t%d\t%d+%d\t%d\t%d\t%d\t%d\t%s\n", s.Blob, s.Index, s.K, s.M, s.Node, s.Disk, s.Offset, s.Length, s.Path)
	}
	return w.Flush()
}

func printJSON(out io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", plainJSON(b))
	}
	return err
}

// plainJSON escapes what JSON may hold raw and a terminal may obey, or show out of order:
// control characters above ASCII's, and marks of direction.
func plainJSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, commanding) {
		return b
	}
	var out []byte
	for _, r := range string(b) {
		if commanding(r) {
			out = fmt.Appendf(out, "\\u%04x", r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

func commanding(r rune) bool {
	return r >= 0x7f && r <= 0x9f || r >= 0x200e && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// keys finds the root keys.
func (f *adminFlags) keys() (access, secret string, err error) {
	access, secret = os.Getenv("IRONMAN_ROOT_ACCESS_KEY"), os.Getenv("IRONMAN_ROOT_SECRET_KEY")
	if access != "" && secret != "" {
		return access, secret, nil
	}
	if f.dir == "" {
		return "", "", errors.New("set IRONMAN_ROOT_ACCESS_KEY and IRONMAN_ROOT_SECRET_KEY, or give the node's --dir")
	}
	b, err := os.ReadFile(filepath.Join(f.dir, "root-credentials.json"))
	if err != nil {
		return "", "", err
	}
	var c struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return "", "", fmt.Errorf("root-credentials.json: %w", err)
	}
	return c.AccessKey, c.SecretKey, nil
}

// get asks the node for something.
func (f *adminFlags) get(path string, q url.Values, v any) error {
	return f.ask(http.MethodGet, path, q, v, 30*time.Second)
}

// ask sends the node a request and decodes its answer.
func (f *adminFlags) ask(method, path string, q url.Values, v any, limit time.Duration) error {
	access, secret, err := f.keys()
	if err != nil {
		return err
	}
	address := f.address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	r, err := http.NewRequest(method, address+path+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth(access, secret)
	client := &http.Client{Timeout: limit}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the node answered %s: %s", resp.Status, strings.TrimSpace(string(b)))
	}
	return json.Unmarshal(b, v)
}
