package server_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestClusterMirror: `ironman feed mirror`, killed again and again while the leader is killed, too, makes
// a bucket equal to another, and writes once what was written once.
func TestClusterMirror(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/source", nil)
	c.clients[0].must(t, 200, "PUT", "/target", nil)
	c.clients[0].must(t, 200, "PUT", "/target?versioning", []byte(versioned))
	var endpoints []string
	for _, n := range c.nodes {
		endpoints = append(endpoints, n.endpoint)
	}
	life := func(flags ...string) (*exec.Cmd, *bytes.Buffer) {
		t.Helper()
		cmd := exec.Command(program(c), append([]string{"feed", "mirror", "--from", "source", "--to", "target", "--endpoint", strings.Join(endpoints, ",")}, flags...)...)
		cred := c.clients[0].cred
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+cred.AccessKey, "AWS_SECRET_ACCESS_KEY="+string(cred.Secret.Reveal()), "AWS_REGION="+region)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, &out
	}
	stop := make(chan struct{})
	var lives atomic.Int64
	var mirroring sync.WaitGroup
	mirroring.Go(func() {
		for rng := rand.New(rand.NewPCG(5, 6)); ; lives.Add(1) {
			cmd, out := life()
			select {
			case <-stop:
			case <-time.After(time.Duration(100+rng.IntN(1500)) * ms):
			}
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()         // it was killed
			if !killedBy(cmd) {
				t.Errorf("the mirror ended by itself: %v: %s", cmd.ProcessState, out)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var acked atomic.Int64
	write := func(until int64) *sync.WaitGroup {
		var wait sync.WaitGroup
		for w := range 6 {
			wait.Go(func() {
				for i := 0; acked.Load() < until; i++ {
					method, target := "PUT", fmt.Sprintf("/source/once/%d-%d-%d", until, w, i)
					switch i % 5 {
					case 0:
						target = fmt.Sprintf("/source/key/%d", i%20)
					case 1:
						method, target = "DELETE", fmt.Sprintf("/source/key/%d", i%20)
					}
					if a, err := c.clients[(w+i)%3].try(method, target, []byte(target)); err == nil && a.status < 300 {
						acked.Add(1)
					} else {
						time.Sleep(5 * ms) // a dead node refuses at once
					}
				}
			})
		}
		return &wait
	}
	write(300).Wait()
	second := write(900)
	lead := c.leader(all()...)
	c.nodes[lead].kill()
	second.Wait()
	c.restart(lead)
	c.settled()
	close(stop)
	mirroring.Wait()
	cmd, out := life("--once")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	equal(t, c.clients[0], c.clients[1], "source", "target")
	written := versionsOf(t, c.clients[0], "target")
	for key, n := range written {
		if n != 1 && strings.HasPrefix(key, "once/") {
			t.Errorf("%s was written %d times", key, n)
		}
	}
	t.Logf("%d keys, %d lives of the mirror", len(written), lives.Load())
	if lives.Load() < 3 {
		t.Error("the mirror was hardly killed")
	}
}
