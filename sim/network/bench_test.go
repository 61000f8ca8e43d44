package network_test

import (
	"io"
	"testing"

	"ironman/sim/network"
)

// BenchmarkRoundTrip is a small question and its answer, without latency.
func BenchmarkRoundTrip(b *testing.B) {
	here, there := benchmarkPair(b)
	go io.Copy(there, there)
	buf := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := here.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(here, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStream is bytes in one direction.
func BenchmarkStream(b *testing.B) {
	here, there := benchmarkPair(b)
	go io.Copy(io.Discard, there)
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := here.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

type halves interface {
	io.ReadWriter
	CloseWrite() error
}

func benchmarkPair(b *testing.B) (here, there halves) {
	n := network.New(network.Options{Rng: seeded(1), Path: network.Path{Latency: 1}})
	l, err := n.Host("b").Listen(80)
	if err != nil {
		b.Fatal(err)
	}
	x, err := n.Host("a").Dial(b.Context(), "b:80")
	if err != nil {
		b.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.Close(); y.Close(); l.Close() })
	return x.(halves), y.(halves)
}
