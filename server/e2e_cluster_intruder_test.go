package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ironman/server"
)

// TestClusterIntruders: whoever is not a member, or is none any more, is refused at
// the link, whatever it sends, and the cluster goes on as if nothing had been.
func TestClusterIntruders(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/safe", nil)
	c.clients[0].must(t, 200, "PUT", "/safe/object", []byte("safe"))
	c.agree(all()...)
	before := c.goroutines(0)
	t.Run("noise", func(t *testing.T) { c.noise(t) })
	c.await("the goroutines of strangers end", func() error {
		if now := c.goroutines(0); now > before+8 {
			return fmt.Errorf("%d goroutines, %d before", now, before)
		}
		return nil
	})
	t.Run("wrong join secret", func(t *testing.T) { c.wrongSecret(t) })
	t.Run("no join secret", func(t *testing.T) { c.noSecret(t) })
	t.Run("removed", func(t *testing.T) { c.removed(t) })
	for i := range 2 {
		c.reads(i, "/safe/object", []byte("safe"))
		c.await("writes without the removed node", func() error {
			a, err := c.clients[i].try("PUT", "/safe/after", []byte("after"))
			if err != nil || a.status != 200 { // its disks are remembered for a moment
				return fmt.Errorf("node %d: %v, %v", i+1, a, err)
			}
			return nil
		})
	}
	c.agree(0, 1)
	for _, p := range c.nodes {
		if strings.Contains(p.log.String(), "panic") {
			t.Error("a node has panicked")
		}
	}
}

var goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

func (c *trio) goroutines(i int) int {
	c.Helper()
	a, err := c.askAdmin(i, "GET", "/-/pprof/goroutine?debug=1")
	if err != nil {
		c.Fatal(err)
	}
	m := goroutineTotal.FindSubmatch(a.body)
	if m == nil {
		c.Fatalf("no goroutine profile: %.300s", a.body)
	}
	n, _ := strconv.Atoi(string(m[1])) // it is digits
	return n
}

// noise sends all kinds of things to a link that no node would send; each has to be
// answered by the end of the connection.
func (c *trio) noise(t *testing.T) {
	certificate := foreignCertificate(t)
	secured := func(then func(net.Conn)) func(net.Conn) {
		return func(raw net.Conn) {
			// The node's own key is not known to a stranger; the stranger does not care.
			s := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}})
			if err := s.Handshake(); err == nil {
				then(s)
			}
		}
	}
	random := func(n int) func(net.Conn) {
		return func(conn net.Conn) { _, _ = conn.Write(content(uint64(n), n)) }
	}
	kinds := map[string]func(net.Conn){
		"nothing":                         func(net.Conn) {},
		"a byte":                          random(1),
		"random bytes":                    random(100_000),
		"HTTP":                            func(conn net.Conn) { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
		"a TLS record without end":        func(conn net.Conn) { _, _ = conn.Write([]byte{22, 3, 1, 255, 255, 1}) },
		"TLS, a foreign key, silence":     secured(func(net.Conn) {}),
		"TLS, a foreign key, random":      secured(random(5000)),
		"TLS, a foreign key, zeros":       secured(func(s net.Conn) { _, _ = s.Write(make([]byte, 4096)) }),
		"TLS, a foreign key, HTTP":        secured(func(s net.Conn) { _, _ = io.WriteString(s, "PUT / HTTP/1.1\r\n\r\n") }),
		"TLS, a foreign key, large frame": secured(func(s net.Conn) { _, _ = s.Write([]byte("\xff\xff\xff\xff\xff\xff\xff\xff")) }),
		"TLS without a key": func(raw net.Conn) {
			_ = tls.Client(raw, &tls.Config{InsecureSkipVerify: true}).Handshake()
		},
	}
	var wait sync.WaitGroup
	for name, send := range kinds {
		for range 4 {
			wait.Go(func() {
				conn, err := net.Dial("tcp", c.proxies[0].target)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				send(conn)
				_, err = io.Copy(io.Discard, conn)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: the connection is still open", name)
				}
			})
		}
	}
	wait.Wait()
	c.reads(0, "/safe/object", []byte("safe"))
}

func foreignCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// refusedStart wants a node to end by itself and to say why.
func refusedStart(t *testing.T, p *process, say string) {
	t.Helper()
	began := time.Now()
	if err := p.tryStart(); err == nil {
		t.Error("it was let in")
	}
	if time.Since(began) > 50*time.Second || !strings.Contains(p.log.String(), say) {
		t.Errorf("it ended after %v and does not say %q:\n%s", time.Since(began), say, p.log.tail(3000))
	}
}

// stranger prepares a node that wants to join and is none of the three.
func (c *trio) stranger(t *testing.T, flags ...string) *process {
	p := newProcess(t, append([]string{"--link", freeAddress(t), "--link-source", sourceOf(7), "--join", c.proxies[0].address()}, flags...)...)
	p.disks = p.disks[:2]
	return p
}

func (c *trio) wrongSecret(t *testing.T) {
	secret := writeJoinSecret(t, "a secret of some other cluster")
	for range 2 {
		refusedStart(t, c.stranger(t, "--join-secret-file", secret), "the join secret is not that of this cluster")
	}
	c.membersAre(t, "leader", "voter", "voter")
}

func (c *trio) noSecret(t *testing.T) {
	refusedStart(t, c.stranger(t), "--join needs --join-secret-file")
	secret := writeJoinSecret(t, "short")
	refusedStart(t, c.stranger(t, "--join-secret-file", secret), "characters")
	c.membersAre(t, "leader", "voter", "voter")
}

// membersAre wants node 1 to see members of these roles, in any order.
func (c *trio) membersAre(t *testing.T, roles ...string) {
	t.Helper()
	var nodes []server.NodeState
	if err := c.fetchAdmin(0, "/-/nodes", &nodes); err != nil {
		t.Fatal(err)
	}
	left := make(map[string]int)
	for _, r := range roles {
		left[r]++
	}
	for _, n := range nodes {
		left[n.Role]--
	}
	for _, n := range left {
		if n != 0 {
			t.Errorf("the members are %+v, want %v", nodes, roles)
			return
		}
	}
}

// removed shuts node 3 out: it is refused while it runs, and when it starts again.
func (c *trio) removed(t *testing.T) {
	var nodes []server.NodeState
	c.nodes[0].ask(&nodes, "remove-node", "3")
	if len(nodes) != 2 {
		t.Fatalf("the nodes are %+v", nodes)
	}
	c.leader(0, 1)
	c.clients[2].limit = 15 * time.Second
	for range 2 {
		for _, method := range []string{"PUT", "GET"} {
			a, err := c.clients[2].try(method, "/safe/object", nil)
			if err == nil && a.status < 500 {
				t.Errorf("%s through the removed node: %v", method, brief(a))
			}
		}
	}
	c.nodes[2].kill()
	refusedStart(t, c.nodes[2], "removed from its cluster")
	c.membersAre(t, "leader", "voter")
	c.reads(0, "/safe/object", []byte("safe"))
}
