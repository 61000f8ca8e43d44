package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// parsed parses arguments as `ironman bench` does.
func parsed(env map[string]string, args ...string) (Options, error) {
	f := &flags{}
	c := &cobra.Command{Use: "bench", SilenceErrors: true, SilenceUsage: true}
	f.register(c)
	var o Options
	c.RunE = func(*cobra.Command, []string) (err error) {
		o, err = f.options(func(k string) string { return env[k] }, nil)
		return err
	}
	c.SetArgs(args)
	return o, c.Execute()
}

func TestArguments(t *testing.T) {
	env := map[string]string{"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
	local := "--endpoint=http://127.0.0.1:9000"
	tests := []struct {
		args string
		want string // part of the error; empty: none
	}{
		{local, ""},
		{"--endpoint http://localhost:9000,http://[::1]:9001 --against https://127.9.9.9", ""},
		{"", `required flag(s) "endpoint"`},
		{"--endpoint http://example.com", "example.com is not on this machine"},
		{"--endpoint http://example.com --allow-remote", ""},
		{"--endpoint http://10.0.0.1:9000", "is not on this machine"},
		{"--endpoint http://localhost.example.com", "is not on this machine"},
		{"--endpoint http://127.0.0.1.example.com", "is not on this machine"},
		{local + " --against http://192.168.1.1", "endpoint B: 192.168.1.1 is not on this machine"},
		{local + " --admin http://192.168.1.1:9200", "is not on this machine"},
		{"--endpoint 127.0.0.1:9000", "a URL that cannot be read"},
		{"--endpoint ftp://127.0.0.1", "is not like http://"},
		{"--endpoint http://127.0.0.1/bucket", "must end after the port"},
		{"--endpoint http://user:SECRET@127.0.0.1", "must not hold credentials"},
		{local + " --work put-4k,get-4k", ""},
		{local + " --work put-5k", `no work is named "put-5k": there are put-4k, get-4k`},
		{local + " --work=", "no work to do"},
		{local + " --concurrency -1", "concurrency"},
		{local + " --concurrency 5000", "concurrency"},
		{local + " --duration 0s", "duration"},
		{local + " --duration 2h", "duration"},
		{local + " --rounds 0", "rounds"},
		{local + " --objects -1", "objects"},
		{local + " --expire 50000", ""},
		{local + " --expire -1", "objects that expire"},
		{local + " --expire 1 --against http://127.0.0.1:9001", "compared with itself"},
		{local + " --expire 1 --bucket mine", "rule that would replace"},
		{local + " --requests -1", "requests"},
		{local + " --max-bytes 0", "bytes"},
		{local + " --pause -1s", "pause"},
		{local + " --bucket Not_A_Bucket", "cannot be the name of a bucket"},
		{local + " --pid 0", "no process id"},
		{local + " --pid 12,x", "invalid"},
		{local + " --access-key AK", "give both --access-key and --secret-key"},
		{local + " --against-pid 12", "need --against"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			_, err := parsed(env, strings.Fields(tt.args)...)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, not %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "SECRET@"):
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	args := []string{"--endpoint", "http://127.0.0.1:1", "--against", "http://127.0.0.1:2"}
	tests := []struct {
		name string
		env  map[string]string
		args []string
		a, b string // access key, secret, session, region
		err  string
	}{
		{name: "none", err: "no keys: set AWS_ACCESS_KEY_ID"},
		{name: "both the same", env: map[string]string{"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T"},
			a: "A S T us-east-1", b: "A S T us-east-1"},
		{name: "second of its own", env: map[string]string{"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_REGION": "eu-west-1",
			"AGAINST_ACCESS_KEY_ID": "B", "AGAINST_SECRET_ACCESS_KEY": "Z"}, a: "A S  eu-west-1", b: "B Z  eu-west-1"},
		{name: "half", env: map[string]string{"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AGAINST_ACCESS_KEY_ID": "B"},
			err: "set both AGAINST_"},
		{name: "flags first", env: map[string]string{"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T"},
			args: []string{"--access-key", "F", "--secret-key", "G", "--region", "r"}, a: "F G  r", b: "F G  r"},
	}
	text := func(e *Endpoint) string {
		return fmt.Sprintf("%s %s %s %s", e.Credential.AccessKey, e.Credential.Secret.Reveal(), e.Credential.Session.Reveal(), e.Region)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := parsed(tt.env, append(args, tt.args...)...)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, not %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if text(&o.Endpoint) != tt.a || text(o.Against) != tt.b {
				t.Errorf("A %q, B %q", text(&o.Endpoint), text(o.Against))
			}
		})
	}
}

// TestCommand runs the command as the command line does.
func TestCommand(t *testing.T) {
	f := newFakeS3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", testAccess)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	t.Setenv("AWS_REGION", "us-east-1")
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		c := Command()
		c.SilenceErrors = true
		c.SetOut(&out)
		c.SetArgs(append([]string{"--endpoint", f.URL, "--requests", "20", "--rounds", "1", "--warmup", "0", "--pause", "0", "--objects", "10",
			"--concurrency", "2", "--durability", "none: a map in memory", "--pid", fmt.Sprint(os.Getpid())}, args...))
		err := c.Execute()
		if strings.Contains(out.String(), testSecret) || err != nil && strings.Contains(err.Error(), testSecret) {
			t.Error("the secret is in the output")
		}
		return out.String(), err
	}
	out, err := run("--work", "put-4k,get-4k")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"put-4k", "get-4k", "FakeS3/1", "durability: none: a map in memory", "p99 ms"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, err = run("--work", "put-4k", "--json"); err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Works[0].Sides[0].Operations != 20 {
		t.Errorf("%v: %s", err, out)
	}
	f.lie = func(_ string, b []byte) []byte { b[0]++; return b }
	out, err = run("--work", "get-4k")
	if err == nil || err.Error() != "20 operations failed, 20 of them with wrong bytes" || !strings.Contains(out, "differs at byte 0") {
		t.Errorf("error %v, output\n%s", err, out)
	}
}

func TestReadUsage(t *testing.T) {
	proc := t.TempDir()
	write := func(pid, name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("7", "stat", "7 (a ) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 8 0 100 1 2 3\n")
	write("7", "status", "Name:\tx\nVmPeak:\t 9999 kB\nVmHWM:\t 3000 kB\nVmRSS:\t 2000 kB\n")
	write("7", "io", "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 44\nread_bytes: 5\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n")
	write("8", "stat", "8 (y) S 1 7 7 0 -1 4194560 100 0 0 0 1 2 0 0 20\n")
	write("8", "status", "VmHWM:\t 1 kB\nVmRSS:\t 1 kB\n")
	write("9", "stat", "9 y S 1")
	u, err := readUsage(proc, []int{7})
	if want := (usage{2 * time.Second, 2000 * kib, 3000 * kib, 4096, 44, true}); err != nil || u != want {
		t.Errorf("%+v, %v", u, err)
	}
	u, err = readUsage(proc, []int{7, 8})
	if err != nil || u.cpu != 2030*time.Millisecond || u.resident != 2001*kib || u.io {
		t.Errorf("two, one of which does not tell its io: %+v, %v", u, err)
	}
	if _, err = readUsage(proc, []int{9}); err == nil {
		t.Error("a broken stat was read")
	}
	if _, err = readUsage(proc, []int{10}); err == nil || !strings.Contains(err.Error(), "process 10") {
		t.Errorf("a process that is not there: %v", err)
	}
}

func TestReadSyncs(t *testing.T) {
	for _, tt := range []struct {
		text string
		want float64
		err  bool
	}{
		{"# HELP ironman_fsyncs_total x\n# TYPE ironman_fsyncs_total counter\nironman_fsyncs_total 12\n", 12, false},
		{"a 1\nironman_fsyncs_total{disk=\"1\"} 3\nironman_fsyncs_total{disk=\"2\"} 1e3 1700000000\n", 1003, false},
		{"ironman_fsyncs_total_of_others 5\nironman_fsyncs 6\n", 0, true},
		{"ironman_fsyncs_total x\n", 0, true},
		{"ironman_fsyncs_total{ 5\n", 0, true},
		{"", 0, true},
	} {
		if got, err := parseSyncs([]byte(tt.text)); got != tt.want || (err != nil) != tt.err {
			t.Errorf("%q: %v, %v", tt.text, got, err)
		}
	}
}

// TestSyncsPerOperation: the metric of all admin addresses, as the root account.
func TestSyncsPerOperation(t *testing.T) {
	f := newFakeS3(t)
	admin := func() string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != testAccess || password != testSecret || r.URL.Path != "/-/metrics" {
				w.WriteHeader(401)
				return
			}
			fmt.Fprintf(w, "ironman_fsyncs_total %d\n", f.count("put"))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	o := f.options("put-4k")
	o.Endpoint.Admin = []string{admin(), admin()}
	if got := ran(t, o); got.SyncsPerOp == nil || *got.SyncsPerOp != 2 {
		t.Errorf("figures: %+v", got)
	}
}

// FuzzAnswers: whatever a server answers, reading it does not panic.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("<Contents><Key>a</Key><Size>64</Size></Contents><IsTruncated>true</IsTruncated>"))
	f.Add([]byte("<Error><Code>SlowDown</Code><Message>&lt;\x1b[2J</Message>"))
	f.Add([]byte("<Code>\x1b0</Code>")) // once passed as it was
	f.Add([]byte("<Code>\u009b2J</Code>"))
	f.Add([]byte("<Key><Key></Key><Key>"))
	f.Add([]byte("ironman_fsyncs_total{a=\"}\"} 1e999\n"))
	f.Add([]byte("7 (a) S 1 7 7 0 -1 4194560 100 0 0 0 9999999999999999999 50"))
	f.Add([]byte("VmRSS:\nVmRSS: x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range listedKeys(b) {
			if !bytes.Contains(b, []byte(k)) {
				t.Errorf("key %q is not in the listing", k)
			}
		}
		if err := checkPage(b, []string{"a"}, 64); err == nil && !bytes.Contains(b, []byte("<Key>a</Key>")) {
			t.Error("a page without the key is right")
		}
		if s := newRefusal(500, b).Error(); strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("%q steers a terminal", s)
		}
		_, _ = parseSyncs(b)
		_, _ = parseStat(b)
		_, _ = field(b, "VmRSS")
	})
}
