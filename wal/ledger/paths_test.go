package ledger

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func TestPaths(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		// The examples of https://c2sp.org/tlog-tiles.
		{TilePath(0, 1234067, 256), "tile/0/x001/x234/067"},
		{EntriesPath(1234067, 256), "tile/entries/x001/x234/067"},
		{TilePath(0, 273, 112), "tile/0/273.p/112"},
		{TilePath(1, 1, 17), "tile/1/001.p/17"},
		{TilePath(2, 0, 1), "tile/2/000.p/1"},

		{TilePath(0, 0, 256), "tile/0/000"},
		{TilePath(63, 999, 255), "tile/63/999.p/255"},
		{EntriesPath(0, 1), "tile/entries/000.p/1"},
		{EntriesPath(1000, 256), "tile/entries/x001/000"},
		{EntriesPath(999999, 256), "tile/entries/x999/999"},
		{EntriesPath(1000000, 9), "tile/entries/x001/x000/000.p/9"},
		{PayloadPath(7, 256), "payload/007"},
		{PayloadPath(7007, 3), "payload/x007/007.p/3"},
		{MilestonePath(0), "checkpoints/000"},
		{MilestonePath(1234), "checkpoints/x001/234"},
		{EntriesPath(math.MaxUint64, 256), "tile/entries/x018/x446/x744/x073/x709/x551/615"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

// number reads what numbered wrote.
func number(t testing.TB, s string) (n uint64, width int) {
	t.Helper()
	width = BundleSize
	if name, w, ok := strings.Cut(s, ".p/"); ok {
		var err error
		if width, err = strconv.Atoi(w); err != nil || width < 1 || width >= BundleSize {
			t.Fatalf("%s: bad width", s)
		}
		s = name
	}
	parts := strings.Split(s, "/")
	for i, p := range parts {
		digits := strings.TrimPrefix(p, "x")
		if (digits != p) != (i < len(parts)-1) || len(digits) != 3 {
			t.Fatalf("%s: bad element %q", s, p)
		}
		d, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		n = n*1000 + d
	}
	return n, width
}

func TestNumberedIsInjective(t *testing.T) {
	for n := range uint64(20000) {
		if got, _ := number(t, numbered(n, BundleSize)); got != n {
			t.Fatalf("%d is written %s", n, numbered(n, BundleSize))
		}
	}
	for w := 1; w <= BundleSize; w++ {
		if n, got := number(t, numbered(1001, w)); n != 1001 || got != w {
			t.Fatalf("width %d is written %s", w, numbered(1001, w))
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		n, w := rapid.Uint64().Draw(rt, "n"), rapid.IntRange(1, BundleSize).Draw(rt, "w")
		if gotN, gotW := number(t, numbered(n, w)); gotN != n || gotW != w {
			rt.Fatalf("%d of width %d is written %s", n, w, numbered(n, w))
		}
	})
}

// The two layouts of tiles differ only in where the height stands.
func TestPathsAgainstTlog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tile := tlog.Tile{
			H: TileHeight, L: rapid.IntRange(0, 7).Draw(rt, "level"),
			N: rapid.Int64Range(0, 1<<40).Draw(rt, "n"), W: rapid.IntRange(1, BundleSize).Draw(rt, "w"),
		}
		want := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", TileHeight), "tile/", 1)
		if got := TilePath(tile.L, uint64(tile.N), tile.W); got != want {
			rt.Fatalf("got %s, want %s", got, want)
		}
	})
}
