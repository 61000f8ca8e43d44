package server_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

// inProcess is a node in this process, behind a real listener.
type inProcess struct {
	node      *server.Node
	endpoint  string
	admin     string
	cred      sig.Credential
	transport *http.Transport
	closed    bool
}

// openInProcess opens a node with six disks below dir.
func openInProcess(t testing.TB, fs vfs.FS, dir string, change ...func(*server.Options)) *inProcess {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	s3, admin := listen(), listen()
	o := server.Options{
		FS: fs, Dir: fs.PathJoin(dir, "node"), S3: []net.Listener{s3}, Admin: admin, Now: time.Now,
		HistoryRetention: server.DefaultHistoryRetention, ReleaseGrace: server.DefaultReleaseGrace,
		Fatal: func(err error) { panic(err) }, SegmentBytes: 4 << 20, // little to fill with zeros
	}
	for i := range 6 {
		o.Disks = append(o.Disks, fs.PathJoin(dir, fmt.Sprintf("disk%d", i+1)))
	}
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, err := server.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	access, secret := n.Credentials()
	p := &inProcess{
		node: n, endpoint: "http://" + s3.Addr().String(), admin: "http://" + admin.Addr().String(),
		cred:      sig.Credential{AccessKey: access, Secret: sig.NewSecret(secret)},
		transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	t.Cleanup(func() { p.close(t) })
	return p
}

func (p *inProcess) close(t testing.TB) {
	t.Helper()
	if p.closed {
		return
	}
	p.closed = true
	p.transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.node.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (p *inProcess) client() *client {
	return &client{http: &http.Client{Transport: p.transport}, base: p.endpoint, cred: p.cred}
}

// adminGet reads from the admin listener as root.
func (p *inProcess) adminGet(t testing.TB, path string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	a, err := p.client().send(r)
	if err != nil || a.status != 200 {
		t.Fatalf("%s: %v %v", path, a, err)
	}
	return a.body
}
