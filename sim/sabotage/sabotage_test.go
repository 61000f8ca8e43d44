package sabotage_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ironman/sim/sabotage"
)

// TestList: ids ascend without a gap, and each says what it is.
func TestList(t *testing.T) {
	for i, s := range sabotage.List() {
		if want := sabotage.ID(fmt.Sprintf("X%02d", i+1)); s.ID != want || s.What == "" {
			t.Errorf("%+v stands where %s belongs", s, want)
		}
		if got, ok := sabotage.Find(s.ID); !ok || got != s {
			t.Errorf("%s is found as %+v", s.ID, got)
		}
	}
	if _, ok := sabotage.Find("X00"); ok {
		t.Error("there is an X00")
	}
}

var use = regexp.MustCompile(`sabotage\.(X\d\d)`)

// TestPlaces: the code has every wrong change of the list but those that wait for a
// feature, and no other.
func TestPlaces(t *testing.T) {
	used := make(map[sabotage.ID]string)
	for _, dir := range []string{"wal", "fsm", "erasure", "s3api", "server"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range use.FindAllSubmatch(b, -1) {
				used[sabotage.ID(m[1])] = path
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range sabotage.List() {
		if place, ok := used[s.ID]; ok != (s.Waits == "") {
			t.Errorf("%s waits for %q and is in %q", s.ID, s.Waits, place)
		}
		delete(used, s.ID)
	}
	if len(used) > 0 {
		t.Errorf("not in the list: %v", used)
	}
}

// TestOff: a build without the tag has nothing of a wrong change in it, and none
// happens, whatever the environment says. With the tag the one that is named does.
func TestOff(t *testing.T) {
	const mark = "this is the wrong change"
	build := func(tags string) string {
		path := filepath.Join(t.TempDir(), "program")
		c := exec.Command("go", "build", "-tags", tags, "-o", path, "./testdata/program")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return path
	}
	run := func(path, id string) (string, error) {
		c := exec.Command(path)
		c.Env = append(os.Environ(), sabotage.Variable+"="+id)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	off := build("")
	b, err := os.ReadFile(off)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{mark, sabotage.Variable, sabotage.List()[0].What} {
		if bytes.Contains(b, []byte(s)) {
			t.Errorf("the binary contains %q", s)
		}
	}
	if out, err := run(off, "X01"); err != nil || out != "" {
		t.Errorf("without the tag: %v: %s", err, out)
	}
	on := build("sabotage")
	if out, err := run(on, "X01"); err != nil || out != sabotage.Reached+"X01\n"+mark+"\n" {
		t.Errorf("with the tag: %v: %s", err, out)
	}
	for _, other := range []string{"", "X02"} {
		if out, err := run(on, other); err != nil || out != "" {
			t.Errorf("with the tag, and %q: %v: %s", other, err, out)
		}
	}
	if out, err := run(on, "X1"); err == nil || !strings.Contains(out, "no such sabotage") {
		t.Errorf("an id that is not there: %v: %s", err, out)
	}
}
