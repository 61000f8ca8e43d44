package s3api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/s3api"
	"ironman/s3api/s3err"
	"ironman/s3api/sig"
	"ironman/s3api/sse"
	"ironman/wal/digest"
	"ironman/wal/event"
)

const matrixRegion = "us-east-1"

// matrixStore is what lies under the S3 front: the real state machine, and instead of a
// log and disks what does as it is told at once. Once it is frozen it takes no event: what
// got as far as proposing one is answered with 503, and the state is what it was.
type matrixStore struct {
	machine *fsm.Machine
	level   uint32 // of the cluster
	now     time.Time
	frozen  bool

	index, stamp uint64
	proposals    int // since they were last counted
	puts, opens  int // of blobs

	mu      sync.Mutex
	blobs   map[[16]byte][]byte
	secrets map[string]sealed // by what stands for them
	masters *sse.Masters
}

type sealed struct {
	accessKey string
	secret    []byte
}

func newMatrixStore(t *testing.T, level uint32) *matrixStore {
	m, err := fsm.Open(fsm.Options{FS: vfs.NewMem(), Dir: "state", Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	masters, err := sse.NewMasters(sse.RandomKey())
	if err != nil {
		t.Fatal(err)
	}
	return &matrixStore{
		machine: m, level: level, now: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC),
		blobs: make(map[[16]byte][]byte), secrets: make(map[string]sealed), masters: masters,
	}
}

// Propose implements s3api.Log.
func (s *matrixStore) Propose(_ context.Context, d *event.Draft) (uint64, *event.Outcome, error) {
	s.proposals++
	if s.frozen {
		return 0, nil, s3err.New("ServiceUnavailable")
	}
	return s.apply(d)
}

func (s *matrixStore) apply(d *event.Draft) (uint64, *event.Outcome, error) {
	d.Statement.Header.Node, d.Statement.Header.Base = 1, s.machine.Applied().Next
	b, err := d.Marshal()
	if err != nil {
		return 0, nil, err
	}
	s.index++
	s.stamp += 1e9
	out := s.machine.Apply([]fsm.Entry{{Index: s.index, Term: 1, Data: event.AppendEntry(nil, s.now.UnixNano()+int64(s.stamp), b)}})
	return out[0].Seq, out[0].Outcome, nil
}

// system applies an event of the store's own.
func (s *matrixStore) system(t *testing.T, d *event.Draft) {
	t.Helper()
	id := fmt.Appendf(nil, "%016d", s.index)
	d.Statement.Header = &event.Header{FeatureLevel: s.level, RequestId: id, Principal: event.System}
	if _, o, err := s.apply(d); err != nil || o.Refusal != event.Refusal_REFUSAL_NONE {
		t.Fatalf("%s: %v %v", event.KindName(d.Statement.Kind()), o, err)
	}
}

// View implements s3api.Views.
func (s *matrixStore) View(context.Context) (*fsm.View, error) { return s.machine.View() }
func (s *matrixStore) Recent() (*fsm.View, error)              { return s.machine.View() }

// Put implements s3api.Blobs.
func (s *matrixStore) Put(_ context.Context, r io.Reader, _ int64) (*event.Blob, error) {
	s.puts++
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	n := uint64(len(s.blobs) + 1)
	blob := &event.Blob{
		Id: &event.BlobID{Incarnation: 1, Counter: n}, Size: uint64(len(b)), K: 1, Cell: 128 << 10,
		Shards: []*event.Shard{{Disk: 1, Pack: &event.PackID{Incarnation: 1, Counter: 1}, Offset: n << 12, Generation: 1}},
	}
	s.blobs[blob.Id.Key()] = b
	return blob, nil
}

// Abandon implements s3api.Blobs: what is not named lies there.
func (s *matrixStore) Abandon(*event.Blob) {}

// Open implements s3api.Blobs.
func (s *matrixStore) Open(_ context.Context, b *event.Blob, offset, length int64) (io.ReadCloser, error) {
	s.opens++
	return io.NopCloser(bytes.NewReader(s.blobs[b.Id.Key()][offset : offset+length])), nil
}

// keep remembers a secret under a name that tells nothing.
func (s *matrixStore) keep(accessKey string, secret []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("sealed-%d", len(s.secrets))
	s.secrets[name] = sealed{accessKey, bytes.Clone(secret)}
	return name
}

func (s *matrixStore) find(accessKey, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.secrets[name]
	if !ok || x.accessKey != accessKey {
		return nil, errors.New("it does not open")
	}
	return bytes.Clone(x.secret), nil
}

// Seal implements s3api.Secrets.
func (s *matrixStore) Seal(accessKey string, secret sig.Secret) []byte {
	return []byte(s.keep(accessKey, secret.Reveal()))
}

// Open implements s3api.Secrets. It has its own type: Blobs has an Open, too.
func (s matrixSecrets) Open(accessKey string, name []byte) (sig.Secret, error) {
	b, err := s.find(accessKey, string(name))
	return sig.NewSecret(b), err
}

type matrixSecrets struct{ *matrixStore }

// Masters implements s3api.Secrets.
func (s *matrixStore) Masters() *sse.Masters { return s.masters }

// Recognize implements s3api.Secrets.
func (s *matrixStore) Recognize(asked []byte) digest.Sum { return digest.SHA256(asked) }

// SealSession implements s3api.Secrets.
func (s *matrixStore) SealSession(accessKey string, plain []byte) string {
	return s.keep(accessKey, plain)
}

// OpenSession implements s3api.Secrets.
func (s *matrixStore) OpenSession(accessKey, token string) ([]byte, error) {
	return s.find(accessKey, token)
}

// genesis makes a cluster of one node and one disk.
func (s *matrixStore) genesis(t *testing.T) {
	s.system(t, event.NewDraft(nil, &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{
		ClusterId: make([]byte, 16), Region: matrixRegion, FeatureLevel: s.level, HistoryRetention: int64(time.Hour), ReleaseGrace: int64(time.Hour),
	}}))
	s.system(t, event.NewDraft(nil, &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: 1, PublicKey: []byte{1}, Boot: 1, FeatureLevel: event.FeatureLevel}}))
	s.system(t, event.NewDraft(nil, &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{DiskId: bytes.Repeat([]byte{1}, 16), Node: 1, Slot: 1}}))
}

// account makes an account with a key of its own.
func (s *matrixStore) account(t *testing.T, number, name string, root bool) sig.Credential {
	t.Helper()
	c := sig.Credential{AccessKey: "KEY" + number, Secret: sig.NewSecret(rand.Text())}
	s.system(t, event.NewDraft(nil, &event.Statement_AccountCreated{AccountCreated: &event.AccountCreated{
		Account: number, CanonicalId: canonical(number), Root: root,
	}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, name))
	s.system(t, event.NewDraft(nil, &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{
		AccessKey: c.AccessKey, Account: number, SealedSecret: s.Seal(c.AccessKey, c.Secret),
	}}))
	return c
}

func canonical(account string) string { return strings.Repeat("0", 64-len(account)) + account }

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// code is that of the error, of S3 or of IAM; "": none.
func (r *reply) code() string {
	var e struct {
		XMLName xml.Name
		Code    string
		Error   struct{ Code string }
	}
	if xml.Unmarshal(r.body, &e) != nil || e.XMLName.Local != "Error" && e.XMLName.Local != "ErrorResponse" {
		return ""
	}
	return e.Code + e.Error.Code
}

func (r *reply) String() string {
	return fmt.Sprintf("%d %s", r.status, r.body[:min(len(r.body), 400)])
}

// field is the text of the first element of that name.
func (r *reply) field(name string) string {
	_, rest, _ := strings.Cut(string(r.body), "<"+name+">")
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

// world is a server over a store, and who is there to ask it.
type world struct {
	*testing.T
	*matrixStore
	server    *s3api.Server
	operation string // of the last request
}

func newWorld(t *testing.T) *world { return newWorldAt(t, event.FeatureLevel) }

// newWorldAt begins at a feature level.
func newWorldAt(t *testing.T, level uint32) *world {
	w := &world{T: t, matrixStore: newMatrixStore(t, level)}
	w.genesis(t)
	w.server = s3api.New(s3api.Options{
		Providers: oneProvider{},
		Log:       w.matrixStore, Views: w.matrixStore, Blobs: w.matrixStore, Secrets: matrixSecrets{w.matrixStore}, Feed: noFeed{}, Region: matrixRegion,
		Now:     func() time.Time { return w.now },
		Observe: func(operation string, _ int, _ time.Duration, _, _ int64) { w.operation = operation },
	})
	return w
}

// noFeed is a feed in which nothing has happened.
type noFeed struct{}

func (noFeed) Open(context.Context, *s3api.FeedQuery) (s3api.FeedReading, error) {
	return noFeed{}, nil
}
func (noFeed) Send(context.Context, http.ResponseWriter) error { return nil }
func (noFeed) Close()                                          {}

// request makes a request as a client has it.
func (w *world) request(method, target, body string, headers ...string) *http.Request {
	u, err := url.Parse("http://s3.example" + target)
	if err != nil {
		w.Fatal(err)
	}
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: make(http.Header)}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	if body == "" {
		r.Body = http.NoBody
	}
	return r
}

// send writes a request as it goes over a connection, reads it as net/http does, and has
// it answered.
func (w *world) send(r *http.Request) *reply {
	w.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		w.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		w.Fatal(err)
	}
	got.RemoteAddr = "192.0.2.7:4711"
	out := httptest.NewRecorder()
	w.server.ServeHTTP(out, got)
	return &reply{out.Code, out.Header(), out.Body.Bytes()}
}

// must sends a request, signed by version 4, that has to be answered with a status.
func (w *world) must(c sig.Credential, status int, method, target, body string, headers ...string) *reply {
	w.Helper()
	r := w.request(method, target, body, headers...)
	if err := sig.SignV4(r, c, matrixRegion, hexSum(body), w.now); err != nil {
		w.Fatal(err)
	}
	a := w.send(r)
	if a.status != status {
		w.Fatalf("%s %s: want %d, got %v", method, target, status, a)
	}
	return a
}

func hexSum(body string) string { return fmt.Sprintf("%x", digest.SHA256([]byte(body))) }

// call signs a call of IAM or STS; parameters are names and values.
func (w *world) call(c sig.Credential, service, action string, parameters ...string) *http.Request {
	f := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(parameters); i += 2 {
		f.Set(parameters[i], parameters[i+1])
	}
	body := f.Encode()
	r := w.request("POST", "/", body, "Content-Type", "application/x-www-form-urlencoded")
	if c.AccessKey != "" {
		w.signService(r, c, service, body)
	}
	return r
}

// vault makes a call that has to succeed.
func (w *world) vault(c sig.Credential, service, action string, parameters ...string) *reply {
	w.Helper()
	a := w.send(w.call(c, service, action, parameters...))
	if a.status != 200 {
		w.Fatalf("%s: %v", action, a)
	}
	return a
}

// signService signs a call: the service is in the signature's scope.
func (w *world) signService(r *http.Request, c sig.Credential, service, body string) {
	who := aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: string(c.Secret.Reveal()), SessionToken: string(c.Session.Reveal())}
	if err := v4.NewSigner().SignHTTP(w.Context(), who, r, hexSum(body), service, matrixRegion, w.now); err != nil {
		w.Fatal(err)
	}
}
