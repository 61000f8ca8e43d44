package network_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ironman/sim/network"
)

// serve runs an HTTP server on port 80 of a host, and returns what ends it.
func serve(t *testing.T, n *network.Network, host string, h http.Handler, wrap func(net.Listener) net.Listener) *http.Server {
	t.Helper()
	l, err := n.Host(host).Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		l = wrap(l)
	}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go s.Serve(l)
	return s
}

// client returns one that lives on a host, and counts its dials.
func client(n *network.Network, host string, dials *atomic.Int64) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			dials.Add(1)
			return n.Host(host).Dial(ctx, address)
		},
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: true},
		ExpectContinueTimeout: time.Second,
	}}
}

// echo answers with the body of the request, and keeps what went wrong to itself.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.Write(body)
}

func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*31 + i>>9)
	}
	return b
}

func post(c *http.Client, url string, body []byte, header ...string) ([]byte, error) {
	req, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return got, err
}

func TestHTTP(t *testing.T) {
	bubble(t, network.Options{Path: network.DefaultPath()}, func(t *testing.T, n *network.Network) {
		s := serve(t, n, "s", http.HandlerFunc(echo), nil)
		var dials atomic.Int64
		c := client(n, "c", &dials)
		for _, size := range []int{0, 1, 100, 70_000, 3 << 20} {
			body := pattern(size)
			for _, header := range [][]string{nil, {"Expect", "100-continue"}} {
				if got, err := post(c, "http://s/", body, header...); err != nil || !bytes.Equal(got, body) {
					t.Fatalf("%d bytes with %v: got %d and %v", size, header, len(got), err)
				}
			}
		}
		if dials.Load() != 1 {
			t.Errorf("%d connections for requests one after another", dials.Load())
		}
		// The server ends the idle connection; the next request makes a new one.
		n.Reset("c", "s")
		synctest.Wait()
		if _, err := post(c, "http://s/", []byte("again")); err != nil {
			t.Error(err)
		}
		c.CloseIdleConnections()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if left := n.Connections(); left != 0 {
			t.Errorf("%d connections are remembered", left)
		}
	})
}

// A server that does not want the body answers early and closes: the client gets
// the answer, not a reset.
func TestHTTPRefusesBody(t *testing.T) {
	bubble(t, network.Options{Path: network.DefaultPath()}, func(t *testing.T, n *network.Network) {
		s := serve(t, n, "s", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusForbidden)
		}), nil)
		c := client(n, "c", new(atomic.Int64))
		if _, err := post(c, "http://s/", pattern(1<<20), "Expect", "100-continue"); err == nil || err.Error() != "status 403" {
			t.Errorf("got %v", err)
		}
		c.CloseIdleConnections()
		s.Close()
	})
}

// Requests through a network that loses, cuts, resets and heals: each is answered
// with its own body, or fails.
func TestHTTPUnderFaults(t *testing.T) {
	path := network.DefaultPath()
	path.Loss, path.Split = 0.02, 0.3
	bubble(t, network.Options{Path: path, Timeout: 5 * time.Second}, func(t *testing.T, n *network.Network) {
		s := serve(t, n, "s", http.HandlerFunc(echo), nil)
		done := make(chan struct{})
		answered, failed := 0, 0
		c := client(n, "c", new(atomic.Int64))
		c.Timeout = 10 * time.Second
		go func() {
			defer close(done)
			for i := range 300 {
				body := pattern(1 + i*i%200_000)
				got, err := post(c, "http://s/", body)
				switch {
				case err != nil:
					failed++
				case !bytes.Equal(got, body):
					t.Errorf("request %d: %d bytes that differ", i, len(got))
				default:
					answered++
				}
			}
		}()
		r := seeded(7)
		for over := false; !over; {
			wait := time.Duration(r.Int64N(int64(2 * time.Second)))
			select {
			case <-done:
				over = true
			case <-time.After(wait):
			}
			switch r.IntN(6) {
			case 0:
				n.ResetOne("c", "s")
			case 1:
				n.BlockOneWay("s", "c")
			case 2:
				n.Block("c", "s")
			case 3:
				n.BlackholeOne("c", "s")
			default:
				n.Heal()
			}
		}
		n.Heal()
		c.CloseIdleConnections()
		s.Close()
		if answered < 100 || failed == 0 {
			t.Errorf("%d answered, %d failed", answered, failed)
		}
	})
}

// selfSigned returns a certificate for no purpose but this test.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Flipped bits are noticed by TLS: a request fails, and never gets wrong bytes.
func TestTLSNoticesCorruption(t *testing.T) {
	path := network.DefaultPath()
	path.Corrupt = 0.005
	bubble(t, network.Options{Path: path}, func(t *testing.T, n *network.Network) {
		config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
		s := serve(t, n, "s", http.HandlerFunc(echo), func(l net.Listener) net.Listener { return tls.NewListener(l, config) })
		c := client(n, "c", new(atomic.Int64))
		c.Timeout = time.Minute
		answered, failed := 0, 0
		for i := range 100 {
			body := pattern(1000 + i*997)
			got, err := post(c, "https://s:80/", body)
			switch {
			case err != nil:
				failed++
			case !bytes.Equal(got, body):
				t.Fatal("corruption went unnoticed")
			default:
				answered++
			}
		}
		if answered == 0 || failed == 0 || struck(t, n, "corrupted") == 0 {
			t.Errorf("%d answered, %d failed, %d corrupted", answered, failed, struck(t, n, "corrupted"))
		}
		c.CloseIdleConnections()
		s.Close()
	})
}

// Without protection they are seen, which shows that they are there.
func TestCorruption(t *testing.T) {
	bubble(t, network.Options{Path: network.Path{Corrupt: 1}}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		sent := pattern(1000)
		say(t, a, string(sent))
		if !bytes.Equal(sent, pattern(1000)) {
			t.Fatal("the bytes of the writer have changed")
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(b, got); err != nil {
			t.Fatal(err)
		}
		flipped := 0
		for i := range got {
			for x := got[i] ^ sent[i]; x != 0; x &= x - 1 {
				flipped++
			}
		}
		if flipped != 1 {
			t.Fatalf("%d bits were flipped", flipped)
		}
	})
}
