package link

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/hashicorp/yamux"
)

const benchCallers, benchBytes = 32, 4096

// inParallel splits b.N round trips among callers.
func inParallel(b *testing.B, f func() error) {
	b.SetBytes(2 * benchBytes)
	b.ReportAllocs()
	work := make(chan int, b.N)
	for i := range b.N {
		work <- i
	}
	close(work)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range benchCallers {
		wg.Go(func() {
			for range work {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// BenchmarkCall is 32 callers with 4 KiB there and 4 KiB back, over loopback TLS.
func BenchmarkCall(b *testing.B) {
	r := newRig(b, false)
	a, _ := r.pair()
	r.reaches(a, 2)
	body := pattern(1, benchBytes)
	inParallel(b, func() error {
		_, err := a.Call(b.Context(), 2, mEcho, body)
		return err
	})
}

func BenchmarkCallPlain(b *testing.B) {
	r := newRig(b, true)
	a, _ := r.pair()
	r.reaches(a, 2)
	body := pattern(1, benchBytes)
	inParallel(b, func() error {
		_, err := a.Call(b.Context(), 2, mEcho, body)
		return err
	})
}

// BenchmarkYamux is the same with hashicorp/yamux: a stream for each call.
func BenchmarkYamux(b *testing.B) {
	client, server := yamuxPair(b)
	defer client.Close()
	defer server.Close()
	go func() {
		for {
			s, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer s.Close()
				if m, err := readFramed(s); err == nil {
					writeFramed(s, m)
				}
			}()
		}
	}()
	body := pattern(1, benchBytes)
	inParallel(b, func() error {
		s, err := client.Open()
		if err != nil {
			return err
		}
		defer s.Close()
		if err := writeFramed(s, body); err != nil {
			return err
		}
		_, err = readFramed(s)
		return err
	})
}

func writeFramed(w io.Writer, b []byte) error {
	m := make([]byte, 4, 4+len(b))
	binary.BigEndian.PutUint32(m, uint32(len(b)))
	_, err := w.Write(append(m, b...))
	return err
}

func readFramed(r io.Reader) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func yamuxPair(b *testing.B) (client, server *yamux.Session) {
	cert, err := certificate(newKey())
	must(b, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	must(b, err)
	near := tls.Client(c, tlsConfig(cert, nil, anyKey))
	far := tls.Server(<-accepted, tlsConfig(cert, nil, anyKey))
	conf := yamux.DefaultConfig()
	conf.LogOutput = io.Discard
	client, err = yamux.Client(near, conf)
	must(b, err)
	server, err = yamux.Server(far, conf)
	must(b, err)
	return client, server
}

// BenchmarkStream is one stream's throughput over loopback TLS.
func BenchmarkStream(b *testing.B) {
	r := newRig(b, false)
	a, to := r.pair()
	near, far := r.pipe(a, to, mBulkPipe)
	defer near.Close()
	body := pattern(1, 256<<10)
	b.SetBytes(int64(len(body)))
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(io.Discard, struct{ io.Reader }{far})
		far.Close()
	})
	b.ResetTimer()
	for range b.N {
		if _, err := near.Write(body); err != nil {
			b.Fatal(err)
		}
	}
	near.CloseWrite()
	wg.Wait()
}

// BenchmarkYamuxStream is the same with hashicorp/yamux.
func BenchmarkYamuxStream(b *testing.B) {
	client, server := yamuxPair(b)
	defer client.Close()
	defer server.Close()
	near, err := client.Open()
	must(b, err)
	body := pattern(1, 256<<10)
	b.SetBytes(int64(len(body)))
	var wg sync.WaitGroup
	wg.Go(func() {
		far, err := server.Accept()
		if err == nil {
			io.Copy(io.Discard, struct{ io.Reader }{far})
		}
	})
	b.ResetTimer()
	for range b.N {
		if _, err := near.Write(body); err != nil {
			b.Fatal(err)
		}
	}
	near.Close()
	wg.Wait()
}
