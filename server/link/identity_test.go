package link

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// refusedBy calls node to until it is told why not: for a moment after a loss it is
// only told that.
func refusedBy(t *testing.T, from *testNode, to uint32, code Code, parts ...string) {
	t.Helper()
	var err error
	eventually(t, "a refusal", func() bool {
		_, err = from.Call(within(t, 10*time.Second), to, mEcho)
		var e *Error
		// A call under way while a connection ends was not refused: it has no answer.
		return errors.As(err, &e) && e.Code != CodeClosing && errors.Is(err, ErrUnreachable)
	})
	wantCode(t, err, code)
	wantError(t, err, ErrUnreachable, parts...)
}

// A node whose key is not the one that is pinned is not served, and a node that
// answers with another key is not spoken to.
func TestWrongKey(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		r.change(1, func(p *Peer) { p.Key = public(newKey()) })
		refusedBy(t, a, 2, CodeNotMember, "no member with number 1 and this key")
		_, err := b.Call(within(t, 10*time.Second), 1, mEcho)
		wantError(t, err, ErrUnreachable)
		if !r.plain {
			wantError(t, err, ErrUnreachable, "does not hold that node's key")
		}
		// Over plain connections only the one that dialed can tell.
		eventually(t, "no session", func() bool { return len(a.peer(2).sessions())+len(b.peer(1).sessions()) == 0 })
	})
}

// A node that is removed, or whose key changes, is cut off from both sides, with
// everything that it was doing, and does not come back.
func TestCutOff(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"removed":     func(r *rig) { r.remove(2) },
		"another key": func(r *rig) { r.change(2, func(p *Peer) { p.Key = public(newKey()) }) },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				a, b := r.pair()
				near, far := r.pipe(b, a, mPipe)
				r.reaches(a, 2)
				change(r)
				_, err := far.Read(make([]byte, 1))
				wantError(t, err, ErrLost)
				_, err = near.Read(make([]byte, 1))
				wantError(t, err, ErrLost)
				wantCode(t, err, CodeNotMember)
				eventually(t, "no session is left", func() bool { return len(a.peer(2).sessions())+len(b.peer(1).sessions()) == 0 })
				refusedBy(t, b, 1, CodeNotMember)
				_, err = a.Call(within(t, 10*time.Second), 2, mEcho)
				wantError(t, err, ErrUnreachable)
				for _, s := range a.Peers() {
					if s.Connected || s.Incoming || s.Err == nil {
						t.Errorf("%+v", s)
					}
				}
			})
		})
	}
}

func TestWrongCluster(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, nil)
		b := r.start(2, 1, func(o *Options) { o.Cluster[15] = 1 })
		refusedBy(t, a, 2, CodeOtherCluster, "different clusters")
		refusedBy(t, b, 1, CodeOtherCluster)
	})
}

// A node that was restored from a backup: the cluster remembers a newer start.
func TestLowerBoot(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, nil)
		r.start(2, 5, nil)
		r.reaches(a, 2)
		r.nodes[2].Close()
		// Membership says so.
		r.change(2, func(p *Peer) { p.Boot = 5 })
		b := r.start(2, 4, nil)
		refusedBy(t, b, 1, CodeStale, "start 4 of node 2 is not its newest, which is 5")
		refusedBy(t, a, 2, CodeStale, "restored from a backup")
		b.Close()
		// Membership lags, but this node has seen the newer start.
		r.change(2, func(p *Peer) { p.Boot = 1 })
		b = r.start(2, 4, nil)
		refusedBy(t, b, 1, CodeStale, "start 4 of node 2 is not its newest, which is 5")
		if s := a.Peers()[0]; s.Boot != 5 || s.Err == nil {
			t.Fatalf("%+v", s)
		}
		b.Close()
		b = r.start(2, 6, nil)
		r.reaches(b, 1)
		// Another node starts anew as this one: the cluster says so, and it is cut off.
		r.change(2, func(p *Peer) { p.Boot = 7 })
		eventually(t, "cut off", func() bool { return len(a.peer(2).sessions()) == 0 })
		refusedBy(t, b, 1, CodeStale)
	})
}

// Two processes with the key and the start counter of one node: the second is
// refused, whichever side dials, also after the first is gone.
func TestClone(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, nil)
		b := r.start(2, 3, nil)
		r.reaches(b, 1)
		clone := r.start(2, 3, nil) // a dials this one from now on
		refusedBy(t, clone, 1, CodeClone, "exists twice")
		refusedBy(t, a, 2, CodeClone, "one of the two is a clone")
		r.reaches(b, 1)
		b.Close()
		refusedBy(t, clone, 1, CodeClone)
	})
}

// A node that reaches itself, by a wrong address, notices.
func TestItself(t *testing.T) {
	r := newRig(t, false)
	a := r.start(1, 1, nil)
	_, err := a.Call(within(t, 10*time.Second), 1, mEcho)
	wantError(t, err, ErrUnreachable, "this is node 1 itself")
	r.start(2, 1, nil)
	r.change(2, func(p *Peer) { p.Address = a.opts.Listener.Addr().String() })
	_, err = a.Call(within(t, 10*time.Second), 2, mEcho)
	wantError(t, err, ErrUnreachable, "does not hold that node's key")
}

// TLS connections that are not from a node of this protocol.
func TestForeignTLS(t *testing.T) {
	r := newRig(t, false)
	a := r.start(1, 1, nil)
	own, err := certificate(newKey())
	must(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ec.Public(), ec)
	must(t, err)
	foreign := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ec}
	for name, edit := range map[string]func(*tls.Config){
		"no certificate":  func(c *tls.Config) { c.Certificates = nil },
		"another key":     func(c *tls.Config) { c.Certificates = []tls.Certificate{foreign} },
		"no protocol":     func(c *tls.Config) { c.NextProtos = nil },
		"other protocol":  func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"older TLS":       func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"two in a chain":  func(c *tls.Config) { c.Certificates[0].Certificate = append(c.Certificates[0].Certificate, der) },
		"another's claim": func(c *tls.Config) {},
	} {
		t.Run(name, func(t *testing.T) {
			c := tlsConfig(own, time.Now, anyKey)
			c.VerifyConnection = nil
			edit(c)
			raw, err := net.Dial("tcp", a.opts.Listener.Addr().String())
			must(t, err)
			defer raw.Close()
			raw.SetDeadline(time.Now().Add(10 * time.Second))
			conn := tls.Client(raw, c)
			if err = conn.Handshake(); err == nil {
				// TLS 1.3 lets the client finish before the server has judged it.
				h := a.introduce(roleControl) // with node 1's key, which this client does not hold
				writeMessage(conn, msgHello, h.encode())
				_, err = readMessage(conn, msgHello)
			}
			if err == nil {
				t.Fatal("let in")
			}
		})
	}
}

// The certificate is good for every clock that a machine may show.
func TestCertificate(t *testing.T) {
	key := newKey()
	cert, err := certificate(key)
	must(t, err)
	x, err := x509.ParseCertificate(cert.Certificate[0])
	must(t, err)
	must(t, x.CheckSignature(x.SignatureAlgorithm, x.RawTBSCertificate, x.Signature))
	if x.NotBefore.Year() != 1970 || x.NotAfter.Year() != 9999 || !same(x.PublicKey.(ed25519.PublicKey), public(key)) {
		t.Fatal(x.NotBefore, x.NotAfter)
	}
	r := newRig(t, false)
	a := r.start(1, 1, func(o *Options) { o.Now = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) } })
	r.start(2, 1, func(o *Options) { o.Now = func() time.Time { return time.Unix(1, 0) } })
	r.reaches(a, 2)
}

// Options that cannot work are refused.
func TestOptions(t *testing.T) {
	r := newRig(t, true)
	good, _ := r.options(1, 1)
	for name, edit := range map[string]func(*Options){
		"listener": func(o *Options) { o.Listener = nil }, "dial": func(o *Options) { o.Dial = nil },
		"peer": func(o *Options) { o.Peer = nil }, "now": func(o *Options) { o.Now = nil },
		"self": func(o *Options) { o.Self = 0 }, "key": func(o *Options) { o.Key = o.Key[:8] },
		"secret": func(o *Options) { o.JoinSecret = shortSecret() },
	} {
		o := good
		edit(&o)
		if _, err := Open(o); err == nil || strings.Contains(err.Error(), "short") {
			t.Errorf("%s: %v", name, err)
		}
	}
	good.Listener.Close()
	o := Options{Listener: good.Listener, Dial: dialTCP, Peer: r.lookup, Now: time.Now, Self: 1, Key: good.Key, MaxCalls: 1 << 30, Window: 1 << 30}
	must(t, o.complete())
	if o.MaxCalls != limitMax || o.Window != windowMax || o.Silence != DefaultSilence {
		t.Fatalf("%+v", o)
	}
	if Method(1).class().String() != "control" || Bulk.class().String() != "bulk" {
		t.Fatal("classes")
	}
}

var _ io.Reader = (*Stream)(nil)
