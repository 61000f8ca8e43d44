package server_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/backup"
)

// TestBackupStuckRequest: a request that stands still keeps no run for ever, and ends by itself.
func TestBackupStuckRequest(t *testing.T) {
	t.Parallel()
	var clock testClock
	p := openInProcess(t, vfs.NewMem(), "/node", func(o *server.Options) { o.Now = clock.now })
	admin := backup.NewAdmin(p.admin, p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	run, err := admin.Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	stuck := func() {
		t.Helper()
		conn, err := net.Dial("tcp", p.admin[len("http://"):])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		r, err := http.NewRequest("POST", p.admin+"/-/backups/"+run.Run+"/pieces", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: 1000\r\n\r\nhalf", r.URL.Path, r.Header.Get("Authorization")); err != nil {
			t.Fatal(err)
		}
		await(t, "the request to be under way", func() bool { return p.node.BackupUsersForTest(run.Run) == 1 })
	}
	p.node.BackupBodiesForTest(time.Second)
	stuck()
	await(t, "the request to end", func() bool { return p.node.BackupUsersForTest(run.Run) == 0 })
	p.node.BackupBodiesForTest(time.Minute)
	stuck()
	runs := func() int {
		s, err := p.node.Status()
		if err != nil {
			t.Fatal(err)
		}
		return s.Backups
	}
	clock.advance(3 * time.Minute)
	time.Sleep(2500 * time.Millisecond) // some looks
	if runs() != 1 {
		t.Error("a run with a request under way was given up at once")
	}
	clock.advance(9 * time.Minute)
	await(t, "the run to be given up", func() bool { return runs() == 0 })
}
