package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// clusterReady is what the ready file holds. Lists are in the order of the nodes.
type clusterReady struct {
	Endpoints []string `json:"endpoints"`
	Admins    []string `json:"admins"`
	Links     []string `json:"links"`
	AccessKey string   `json:"access_key"`
	SecretKey string   `json:"secret_key"`
	PIDs      []int    `json:"pids"` // of each node's last process
}

// board knows which nodes serve, and tells people and programs.
type board struct {
	flags       *clusterFlags
	credentials string // the file of the root keys
	newKeys     bool   // they are made now
	log         *slog.Logger

	mu    sync.Mutex
	out   io.Writer
	ready clusterReady
	// served tells which nodes have served; it is never taken back.
	served []bool
	// first is closed when the first node has served.
	first chan struct{}
	// published is set once all have: from then on the ready file is there.
	published bool
}

func newBoard(f *clusterFlags, places []place, out io.Writer, log *slog.Logger) *board {
	b := &board{
		flags: f, credentials: filepath.Join(places[0].dir, "root-credentials.json"), log: log, out: out,
		served: make([]bool, len(places)), first: make(chan struct{}),
	}
	b.newKeys = missing(b.credentials)
	for _, p := range places {
		b.ready.Endpoints = append(b.ready.Endpoints, p.s3) // until the node says how it serves there
		b.ready.Admins = append(b.ready.Admins, p.admin)
		b.ready.Links = append(b.ready.Links, p.link)
		b.ready.PIDs = append(b.ready.PIDs, 0)
	}
	return b
}

// started implements noticeBoard.
func (b *board) started(number, pid int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready.PIDs[number-1] = pid
	if b.published {
		b.publish()
	}
}

// serving implements noticeBoard.
func (b *board) serving(number int, r nodeReady) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready.Endpoints[number-1] = r.Endpoints[0] // http or https: the flags that every node is given decide
	word := "serves"
	if b.served[number-1] {
		word = "serves again:"
	}
	fmt.Fprintf(b.out, "node %d %s %s (pid %d)\n", number, word, b.ready.Endpoints[number-1], b.ready.PIDs[number-1])
	if number == 1 && !b.served[0] {
		close(b.first)
	}
	b.served[number-1] = true
	if r.AccessKey != "" { // a node that joined has no keys to tell
		b.ready.AccessKey, b.ready.SecretKey = r.AccessKey, r.SecretKey
	}
	if b.published {
		return
	}
	for _, s := range b.served {
		if !s {
			return
		}
	}
	b.published = true
	b.publish()
	b.announce()
}

// complete tells whether every node has served.
func (b *board) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.published
}

// awaitFirst waits until the first node has served and tells whether it has.
func (b *board) awaitFirst(over, done <-chan struct{}) bool {
	select {
	case <-b.first:
		return true
	case <-over:
	case <-done:
	}
	return false
}

// publish writes the ready file.
func (b *board) publish() {
	if b.flags.readyFile == "" {
		return
	}
	text, err := json.MarshalIndent(b.ready, "", "  ")
	if err == nil {
		err = writeFile(b.flags.readyFile, append(text, '\n'))
	}
	if err != nil {
		b.log.Error("ready file", "err", err)
	}
}

// remove takes the ready file away: what it says holds no more.
func (b *board) remove() error {
	if b.flags.readyFile == "" {
		return nil
	}
	if err := os.Remove(b.flags.readyFile); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// announce prints what a person needs to use the cluster.
func (b *board) announce() {
	f := b.flags
	fmt.Fprintf(b.out, "\nThe cluster serves: nodes: %d, disks of each: %d, under %s\n\n", f.nodes, f.disks, f.dir)
	access, secret := b.ready.AccessKey, b.ready.SecretKey
	switch {
	case access == "":
		fmt.Fprintf(b.out, "The root keys are not in %s any more.\n", b.credentials)
		access, secret = "...", "..."
	case b.newKeys:
		fmt.Fprintf(b.out, "The root keys, printed this once (also in %s):\n", b.credentials)
	default:
		fmt.Fprintf(b.out, "The root keys are in %s:\n", b.credentials)
		read := func(field string) string {
			return fmt.Sprintf(`"$(sed -n 's/.*"%s": "\(.*\)".*/\1/p' %s)"`, field, quote(b.credentials))
		}
		access, secret = read("access_key"), read("secret_key")
	}
	fmt.Fprintf(b.out, `
  export AWS_ACCESS_KEY_ID=%s
  export AWS_SECRET_ACCESS_KEY=%s
  export AWS_DEFAULT_REGION=%s

Any client may use any node:

`, access, secret, f.region)
	steps := []string{"s3 mb s3://first", "s3 cp README.md s3://first/", "s3 ls s3://first/"}
	for i := range max(len(steps), len(b.ready.Endpoints)) {
		endpoint := b.ready.Endpoints[i%len(b.ready.Endpoints)]
		fmt.Fprintf(b.out, "  aws --endpoint-url %s %s\n", endpoint, steps[min(i, len(steps)-1)])
	}
	fmt.Fprintln(b.out)
}

// quote makes a word of a shell command.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
