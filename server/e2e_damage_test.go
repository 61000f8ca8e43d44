package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ironman/server"
)

// damaged is a node with objects whose shards are damaged and made whole again.
type damaged struct {
	*testing.T
	p   *process
	rng *rand.Rand
}

// damage is one way to spoil a shard: it returns other bytes of the same length.
type damage struct {
	name  string
	spoil func(d *damaged, shard []byte, other []byte) []byte
}

func damages() []damage {
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x40
		return b
	}
	return []damage{
		{"a flipped bit", func(_ *damaged, b, _ []byte) []byte { return flip(b, len(b)*3/4) }},
		{"a damaged header", func(d *damaged, b, _ []byte) []byte { return flip(b, d.rng.IntN(32)) }},
		{"zeros", func(_ *damaged, b, _ []byte) []byte { return make([]byte, len(b)) }},
		{"another shard", func(_ *damaged, b, other []byte) []byte { return append(bytes.Clone(other), b...)[:len(b)] }},
		{"noise", func(d *damaged, b, _ []byte) []byte { return content(d.rng.Uint64()|1, len(b)) }},
	}
}

// TestDamage spoils shards on disk, where `ironman admin locate` says they are:
// any two of an object's shards, and it reads byte for byte; three, and it is a
// clear error or a broken connection, never a wrong byte or a short body.
func TestDamage(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start()
	d := &damaged{T: t, p: p, rng: rand.New(rand.NewPCG(3, 4))}
	p.client().must(t, 200, "PUT", "/damage", nil)
	for _, size := range []int{1, 100 << 10, 5 << 20, 40 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			in := *d
			in.T = t
			in.object(size)
		})
	}
}

func (d *damaged) object(size int) {
	key, b := fmt.Sprintf("object-%d", size), content(uint64(size), size)
	d.p.client().must(d, 200, "PUT", "/damage/"+key, b)
	shards := d.locate(key)
	want := 6
	if size == 1 {
		want = 3 // copies
	}
	if len(shards) != want {
		d.Fatalf("%d shards: %+v", len(shards), shards)
	}
	kinds := damages()
	pairs := pairsOf(len(shards))
	if size == 5<<20 || size == 40<<20 {
		pairs = pairs[:4] // all pairs at the size that is fast
	}
	for i, pair := range pairs {
		kind := kinds[i%len(kinds)]
		restore := d.spoil(shards, kind, pair...)
		d.reads(fmt.Sprintf("shards %v: %s", pair, kind.name), key, b)
		restore()
	}
	for i, kind := range kinds {
		if kind.name == "a damaged header" {
			continue // a reader goes by the cells, each of which says whose it is
		}
		three := []int{i % want, (i + 1) % want, (i + 2) % want}
		restore := d.spoil(shards, kind, three...)
		d.fails(fmt.Sprintf("shards %v: %s", three, kind.name), key, b)
		restore()
	}
	d.reads("made whole again", key, b)
	if n := d.metric("ironman_shards_damaged_total"); n < 2 {
		d.Errorf("%v damaged shards were counted", n)
	}
	if size == 40<<20 {
		d.late(key, b, shards)
	}
	d.deleted(key, b, shards)
}

// deleted takes whole packs away from a stopped node.
func (d *damaged) deleted(key string, b []byte, shards []server.ShardLocation) {
	for _, n := range []int{2, 3} {
		d.p.kill()
		for _, s := range shards[:n] {
			if err := os.Rename(s.Path, s.Path+".away"); err != nil {
				d.Fatal(err)
			}
		}
		d.p.start()
		if n == 2 {
			d.reads("two packs deleted", key, b)
		} else {
			d.fails("three packs deleted", key, b)
		}
		d.p.kill()
		for _, s := range shards[:n] {
			if err := os.Rename(s.Path+".away", s.Path); err != nil {
				d.Fatal(err)
			}
		}
		d.p.start()
		d.reads("packs put back", key, b)
	}
}

// late spoils three shards in their last cells only: the body begins, and must break.
func (d *damaged) late(key string, b []byte, shards []server.ShardLocation) {
	end := damage{"their last bytes", func(_ *damaged, s, _ []byte) []byte {
		s = bytes.Clone(s)
		s[len(s)-1] ^= 1
		return s
	}}
	restore := d.spoil(shards, end, 0, 1, 2)
	defer restore()
	got, status, err := d.get(key, "")
	if status != 200 || err == nil || len(got) == 0 || len(got) >= len(b) || !bytes.Equal(got, b[:len(got)]) {
		d.Errorf("damage at the end: status %d, %d bytes, %v", status, len(got), err)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
		d.Errorf("damage at the end: %v", err)
	}
	got, status, err = d.get(key, "bytes=0-1000000") // which is whole
	if status != 206 || err != nil || !bytes.Equal(got, b[:1000001]) {
		d.Errorf("a range before the damage: status %d, %d bytes, %v", status, len(got), err)
	}
}

func (d *damaged) locate(key string) []server.ShardLocation {
	d.Helper()
	var shards []server.ShardLocation
	d.p.ask(&shards, "locate", "damage", key)
	disks := make(map[uint32]bool)
	for _, s := range shards {
		if disks[s.Disk] {
			d.Fatalf("two shards on one disk: %+v", shards)
		}
		disks[s.Disk] = true
	}
	return shards
}

// spoil damages shards in their packs, and returns what undoes it.
func (d *damaged) spoil(shards []server.ShardLocation, kind damage, which ...int) (restore func()) {
	d.Helper()
	old := make([][]byte, len(shards))
	for i, s := range shards {
		old[i] = make([]byte, s.Length)
		d.onPack(s, func(f *os.File) error {
			_, err := f.ReadAt(old[i], int64(s.Offset))
			return err
		})
	}
	for _, i := range which {
		b := kind.spoil(d, old[i], old[(i+1)%len(old)])
		if len(b) != len(old[i]) || bytes.Equal(b, old[i]) {
			d.Fatalf("%s is no damage", kind.name)
		}
		d.onPack(shards[i], func(f *os.File) error {
			_, err := f.WriteAt(b, int64(shards[i].Offset))
			return err
		})
	}
	return func() {
		for _, i := range which {
			d.onPack(shards[i], func(f *os.File) error {
				_, err := f.WriteAt(old[i], int64(shards[i].Offset))
				return err
			})
		}
	}
}

func (d *damaged) onPack(s server.ShardLocation, f func(*os.File) error) {
	d.Helper()
	file, err := os.OpenFile(s.Path, os.O_RDWR, 0)
	if err != nil {
		d.Fatal(err)
	}
	if err := errors.Join(f(file), file.Close()); err != nil {
		d.Fatalf("%s: %v", filepath.Base(s.Path), err)
	}
}

// get reads as much as there is.
func (d *damaged) get(key, byteRange string) ([]byte, int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := d.p.client()
	r := c.request(ctx, "GET", "/damage/"+key, nil)
	if byteRange != "" {
		r.Header.Set("Range", byteRange)
	}
	c.sign(r, nil)
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return b, resp.StatusCode, err
}

// ranges are some byte ranges of a body, as their first and last bytes.
func ranges(size int) [][2]int {
	last := size - 1
	return [][2]int{{0, last}, {0, 0}, {last, last}, {size / 3, last * 2 / 3}}
}

func (d *damaged) reads(what, key string, b []byte) {
	d.Helper()
	got, status, err := d.get(key, "")
	if err != nil || status != 200 || !bytes.Equal(got, b) {
		d.Errorf("%s: status %d, %d bytes, %v: %.300q", what, status, len(got), err, errorText(status, got))
	}
	for _, r := range ranges(len(b)) {
		got, status, err := d.get(key, fmt.Sprintf("bytes=%d-%d", r[0], r[1]))
		if err != nil || status != 206 || !bytes.Equal(got, b[r[0]:r[1]+1]) {
			d.Errorf("%s: range %v: status %d, %d bytes, %v", what, r, status, len(got), err)
		}
	}
}

func errorText(status int, b []byte) []byte {
	if status < 400 {
		return nil
	}
	return b
}

// fails reads what cannot be read: an error before the first byte, or a broken
// connection after right bytes. Ranges may still be whole.
func (d *damaged) fails(what, key string, b []byte) {
	d.Helper()
	got, status, err := d.get(key, "")
	switch {
	case status >= 500 && err == nil:
		a := &answer{status: status, body: got}
		if code := a.code(); code != "ServiceUnavailable" && code != "InternalError" {
			d.Errorf("%s: %v", what, a)
		}
	case status == 200 && err != nil:
		if len(got) >= len(b) || !bytes.Equal(got, b[:len(got)]) {
			d.Errorf("%s: wrong bytes before the connection broke", what)
		}
	default:
		d.Errorf("%s: status %d, %d bytes, %v", what, status, len(got), err)
	}
	for _, r := range ranges(len(b)) {
		got, status, err := d.get(key, fmt.Sprintf("bytes=%d-%d", r[0], r[1]))
		want := b[r[0] : r[1]+1]
		switch {
		case status >= 500 && err == nil:
		case status == 206 && err == nil && bytes.Equal(got, want):
		case status == 206 && err != nil && len(got) < len(want) && bytes.Equal(got, want[:len(got)]):
		default:
			d.Errorf("%s: range %v: status %d, %d bytes, %v", what, r, status, len(got), err)
		}
	}
}

func pairsOf(n int) (out [][]int) {
	for i := range n {
		for j := i + 1; j < n; j++ {
			out = append(out, []int{i, j})
		}
	}
	slices.Reverse(out)
	return out
}

// metric reads one metric of the admin listener.
func (d *damaged) metric(name string) float64 {
	d.Helper()
	for line := range strings.Lines(string(d.p.adminGet("/-/metrics"))) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			var n float64
			if _, err := fmt.Sscan(v, &n); err == nil {
				return n
			}
		}
	}
	d.Fatalf("there is no metric %s", name)
	return 0
}
