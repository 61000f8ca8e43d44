package server_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ironman/s3api/sig"
	"ironman/server"
)

// TestMain gives the binary of this run a place, which goes with the run.
func TestMain(m *testing.M) {
	if spec := os.Getenv(quotaNodeEnv); spec != "" {
		os.Exit(runQuotaNode(spec))
	}
	dir, err := os.MkdirTemp("", "ironman-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaryDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var (
	binaryDir   string
	buildBinary = sync.OnceValues(func() (string, error) {
		if path := os.Getenv("IRONMAN_BINARY"); path != "" {
			return path, nil
		}
		path := filepath.Join(binaryDir, "ironman")
		c := exec.Command("go", "build", "-o", path, "./cmd/ironman")
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		out, err := c.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		return path, err
	})
)

// program is the path of the built command.
func program(t testing.TB) string {
	t.Helper()
	path, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a node that runs as a process of its own, with real files.
type process struct {
	t     testing.TB
	dir   string // of the node
	disks []string
	flags []string
	// binary is another one than that of this tree, unless it is empty.
	binary string
	env    []string
	cwd    string
	tls    *testCertificate
	s3     string // address of the S3 listener; of any port if empty
	keys   []server.KeySpec

	cmd       *exec.Cmd
	exited    chan error // holds how the process ended, once
	log       *logBuffer // of all starts
	endpoint  string
	admin     string
	cred      sig.Credential
	transport *http.Transport
}

// newProcess prepares a node with six disks; start starts it.
func newProcess(t testing.TB, flags ...string) *process {
	t.Helper()
	root := t.TempDir()
	p := &process{t: t, dir: filepath.Join(root, "node"), flags: flags, log: &logBuffer{}}
	for i := range 6 {
		p.disks = append(p.disks, filepath.Join(root, fmt.Sprintf("disk%d", i+1)))
	}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("the node's log ends:\n%s", p.log.tail(8000))
		}
	})
	return p
}

// start starts the process and waits until it serves.
func (p *process) start(extra ...string) {
	p.t.Helper()
	if err := p.tryStart(extra...); err != nil {
		p.t.Fatalf("the node did not start: %v\n%s", err, p.log.tail(4000))
	}
}

func (p *process) tryStart(extra ...string) error {
	if err := p.launch(extra...); err != nil {
		return err
	}
	return p.awaitReady(p.readyFile())
}

// readyFile is there once the process serves.
func (p *process) readyFile() string { return filepath.Join(filepath.Dir(p.dir), "ready.json") }

// launch starts the process, and does not wait for anything.
func (p *process) launch(extra ...string) error {
	ready := p.readyFile()
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	args := []string{"server", "--dir", p.dir, "--disks", strings.Join(p.disks, ","),
		"--listen", cmp.Or(p.s3, "127.0.0.1:0"), "--admin", "127.0.0.1:0", "--ready-file", ready}
	if p.tls != nil {
		args = append(args, "--tls-cert", p.tls.certFile, "--tls-key", p.tls.keyFile)
	}
	if len(p.keys) > 0 {
		args = append(args, "--keys-file", p.writeKeys())
	}
	cmd := exec.Command(cmp.Or(p.binary, program(p.t)), append(append(args, p.flags...), extra...)...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.Env, cmd.Dir = append(os.Environ(), p.env...), p.cwd
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	p.cmd, p.exited = cmd, exited
	return nil
}

// awaitReady waits for the ready file or the end of the process.
func (p *process) awaitReady(path string) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for {
		b, err := os.ReadFile(path)
		if err == nil {
			return p.readReady(b)
		}
		select {
		case err := <-p.exited:
			p.exited <- err
			return fmt.Errorf("it ended: %v", err)
		case <-limit:
			return errors.New("it is not ready after 60 s")
		case <-tick.C:
		}
	}
}

func (p *process) readReady(b []byte) error {
	var ready struct {
		Endpoints []string `json:"endpoints"`
		Admin     string   `json:"admin"`
		AccessKey string   `json:"access_key"`
		SecretKey string   `json:"secret_key"`
		PIDs      []int    `json:"pids"`
	}
	if err := json.Unmarshal(b, &ready); err != nil {
		return err
	}
	if len(ready.Endpoints) != 1 || ready.Admin == "" || len(ready.PIDs) != 1 || ready.PIDs[0] != p.cmd.Process.Pid {
		return fmt.Errorf("a strange ready file: %+v", ready)
	}
	p.endpoint, p.admin = ready.Endpoints[0], ready.Admin
	if ready.AccessKey == "" && p.cred.AccessKey != "" {
		return nil // a node that joined does not have the root keys
	}
	p.cred = sig.Credential{AccessKey: ready.AccessKey, Secret: sig.NewSecret(ready.SecretKey)}
	return nil
}

// kill ends the process by SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	p.wait()
}

// wait waits for the end of the process and tells how it came.
func (p *process) wait() error {
	err := <-p.exited
	p.exited <- err
	if p.transport != nil {
		p.transport.CloseIdleConnections()
	}
	return err
}

// stop ends the process by SIGTERM; it must end cleanly.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		p.t.Fatalf("the node did not stop cleanly: %v\n%s", err, p.log.tail(4000))
	}
}

// killed tells whether the process was ended by SIGKILL.
func (p *process) killed() bool {
	s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && s.Signal() == syscall.SIGKILL
}

// ask runs `ironman admin` and decodes the JSON it prints.
func (p *process) ask(v any, args ...string) {
	p.t.Helper()
	scheme := "http://"
	if p.tls != nil {
		scheme = "https://"
	}
	c := exec.Command(program(p.t), append([]string{"admin", "--admin", scheme + p.admin, "--dir", p.dir, "--json"}, args...)...)
	c.Env = append(os.Environ(), p.env...)
	if p.tls != nil {
		c.Env = append(c.Env, "SSL_CERT_FILE="+p.tls.certFile)
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		p.t.Fatalf("ironman admin %v: %v: %s", args, err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, v); err != nil {
		p.t.Fatalf("ironman admin %v printed %q: %v", args, out, err)
	}
}

func (p *process) status() *server.Status {
	p.t.Helper()
	s := &server.Status{}
	p.ask(s, "status")
	return s
}

// client signs as the root account.
func (p *process) client() *client {
	if p.transport == nil {
		p.transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10}
		if p.tls != nil {
			p.transport.TLSClientConfig = p.tls.client()
		}
	}
	return &client{http: &http.Client{Transport: p.transport}, base: p.endpoint, cred: p.cred}
}

// as signs as one of the process's further keys.
func (p *process) as(n int) *client {
	c := p.client()
	c.cred = sig.Credential{AccessKey: p.keys[n].AccessKey, Secret: sig.NewSecret(p.keys[n].SecretKey)}
	return c
}

func (p *process) writeKeys() string {
	path := filepath.Join(filepath.Dir(p.dir), "keys.json")
	b, err := json.Marshal(p.keys)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return path
}

// randomKey makes a key for a further account.
func randomKey(name string) server.KeySpec {
	b := make([]byte, 40)
	_, _ = rand.Read(b)
	return server.KeySpec{
		AccessKey: strings.ToUpper(name) + fmt.Sprintf("%X", b[:6]), SecretKey: base64.RawURLEncoding.EncodeToString(b[6:]),
		Name: name, Email: name + "@example.com",
	}
}

// logBuffer collects what a process prints.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}

func (l *logBuffer) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Len()
}

// from is what was printed from a place on.
func (l *logBuffer) from(at int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b.Bytes()[at:])
}

// testCertificate is a self-signed certificate of 127.0.0.1.
type testCertificate struct {
	certFile, keyFile string
	pool              *x509.CertPool
}

func newCertificate(t testing.TB) *testCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ironman test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	cert, err1 := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	private, err2 := x509.MarshalPKCS8PrivateKey(key)
	dir := t.TempDir()
	c := &testCertificate{certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	err3 := os.WriteFile(c.certFile, certPEM, 0o600)
	err4 := os.WriteFile(c.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil || !c.pool.AppendCertsFromPEM(certPEM) {
		t.Fatal(err)
	}
	return c
}

// adminGet reads from the admin listener as root.
func (p *process) adminGet(path string) []byte {
	p.t.Helper()
	a := p.adminAsk("GET", path)
	if a.status != 200 {
		p.t.Fatalf("%s: %v", path, a)
	}
	return a.body
}

// adminAsk asks the admin listener as root.
func (p *process) adminAsk(method, path string) *answer {
	p.t.Helper()
	c := p.client()
	scheme := "http://"
	if p.tls != nil {
		scheme = "https://"
	}
	r, err := http.NewRequestWithContext(context.Background(), method, scheme+p.admin+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	a, err := c.send(r)
	if err != nil {
		p.t.Fatalf("%s: %v", path, err)
	}
	return a
}
