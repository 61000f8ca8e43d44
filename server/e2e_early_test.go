package server_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/s3api/sig"
	"ironman/server"
)

// TestStreamBeforeLog: another node opens a stream of Raft's while this one, whose link
// is open, still opens its log. That waits, and when the log cannot be opened after all
// the node ends with that error; the next start, without it, serves.
func TestStreamBeforeLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := openMember(t, filepath.Join(dir, "a"), "", nil)
	defer first.close(t)
	join := first.link
	second := openMember(t, filepath.Join(dir, "b"), join, nil)
	address := second.link
	second.close(t)

	o := memberOptions(t, filepath.Join(dir, "b"), join, address)
	o.FS = errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		// Only what the opening of the log itself reads, behind the link: an error of
		// its housekeeping would be fatal.
		reads := op.Kind == errorfs.OpOpen || op.Kind == errorfs.OpList || op.Kind == errorfs.OpFileRead || op.Kind == errorfs.OpFileReadAt
		if !reads || !strings.Contains(op.Path, "/wal/") || !opensLog() {
			return nil
		}
		for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(5 * ms) {
			if offered() {
				return &net.OpError{Op: "trial", Err: syscall.EIO}
			}
		}
		return errors.New("no stream came")
	}))
	ended := make(chan error, 1)
	go func() {
		_, err := server.Open(context.Background(), o)
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("a start without a log: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("a start without a log does not end")
	}
	if offered() {
		t.Error("a stream still waits for the log")
	}
	third := openMember(t, filepath.Join(dir, "b"), join, &address)
	third.close(t)
}

// offered tells whether a stream waits for a log.
func offered() bool {
	b := make([]byte, 4<<20)
	return strings.Contains(string(b[:runtime.Stack(b, true)]), "wal.(*Streams).Offer(")
}

// opensLog tells whether the goroutine that asks is opening a log.
func opensLog() bool {
	b := make([]byte, 64<<10)
	return strings.Contains(string(b[:runtime.Stack(b, false)]), "wal/segment.Open(")
}

// member is a node of a cluster in this process.
type member struct {
	*inProcess
	link string
}

func memberOptions(t *testing.T, dir, join, address string) server.Options {
	t.Helper()
	listen := func(address string) net.Listener {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := listen(address)
	return server.Options{
		FS: vfs.Default, Dir: filepath.Join(dir, "node"), Disks: []string{filepath.Join(dir, "disk")},
		S3: []net.Listener{listen("127.0.0.1:0")}, Admin: listen("127.0.0.1:0"), Link: l, LinkAddress: l.Addr().String(),
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
		Join: join, JoinSecret: sig.NewSecret("a secret of this test only, and long"), Now: time.Now,
		Fatal: func(err error) { panic(err) }, SegmentBytes: 1 << 20,
	}
}

// openMember opens a node, the first of a cluster or one that joins it.
func openMember(t *testing.T, dir, join string, address *string) *member {
	t.Helper()
	at := "127.0.0.1:0"
	if address != nil {
		at = *address
	}
	o := memberOptions(t, dir, join, at)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, err := server.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	access, secret := n.Credentials()
	return &member{inProcess: &inProcess{
		node: n, transport: &http.Transport{}, endpoint: "http://" + o.S3[0].Addr().String(), admin: "http://" + o.Admin.Addr().String(),
		cred: sig.Credential{AccessKey: access, Secret: sig.NewSecret(secret)},
	}, link: o.LinkAddress}
}
