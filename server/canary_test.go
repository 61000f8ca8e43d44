package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/wal/ledger"
)

// canaries are byte strings that are looked for, in every way in which they may be
// written. All are looked for at once.
type canaries struct {
	ways  map[uint64][]canary // by their first eight bytes
	first [1 << 16]bool       // what their first two bytes may be
}

// canary is one way of writing a secret.
type canary struct {
	name string // of the secret
	how  string // it is written
	text []byte
}

// canaryBytes is the least that is looked for, canaryWindow the most: the end of what is
// longer, as long tokens have the same beginning.
const (
	canaryBytes  = 16
	canaryWindow = 48
)

// keep adds a secret.
func (c *canaries) keep(t testing.TB, name string, secret []byte) {
	t.Helper()
	if len(secret) < canaryBytes {
		t.Fatalf("%s is too short to look for", name)
	}
	s := secret[max(0, len(secret)-canaryWindow):]
	c.add(name, "as it is", s)
	c.add(name, "in hexadecimal", []byte(hex.EncodeToString(s)))
	c.add(name, "in hexadecimal", []byte(strings.ToUpper(hex.EncodeToString(s))))
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			c.add(name, fmt.Sprintf("in base64 behind %d bytes", before), inBase64(e, s, before))
		}
	}
	c.add(name, "in a query", []byte(url.QueryEscape(string(s))))
	c.add(name, "in a path", []byte(url.PathEscape(string(s))))
	c.add(name, "in a query, in small letters", []byte(lowerEscapes(url.QueryEscape(string(s)))))
	quoted, err := json.Marshal(string(s))
	if err != nil {
		t.Fatal(err)
	}
	c.add(name, "in JSON", bytes.Trim(quoted, `"`))
	c.add(name, "as %q", []byte(strings.Trim(fmt.Sprintf("%q", s), `"`)))
	c.add(name, "as %v", []byte(strings.Trim(fmt.Sprint(s), "[]")))
	var b bytes.Buffer
	if err := xml.EscapeText(&b, s); err != nil {
		t.Fatal(err)
	}
	c.add(name, "in XML", b.Bytes())
}

// inBase64 is what of the encoding of some bytes before s and then s is the same
// whatever those bytes are and whatever follows.
func inBase64(e *base64.Encoding, s []byte, before int) []byte {
	b := append(make([]byte, before), s...)
	b = b[:len(b)/3*3]
	return []byte(e.EncodeToString(b))[[]int{0, 2, 3}[before]:]
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '%' && i+2 < len(b) {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

func (c *canaries) add(name, how string, text []byte) {
	if c.ways == nil {
		c.ways = make(map[uint64][]canary)
	}
	at := binary.BigEndian.Uint64(text)
	if !slices.ContainsFunc(c.ways[at], func(w canary) bool { return bytes.Equal(w.text, text) }) {
		c.ways[at] = append(c.ways[at], canary{name, how, text})
		c.first[binary.BigEndian.Uint16(text)] = true
	}
}

// find returns every place where one of them is.
func (c *canaries) find(b []byte) (found []sighting) {
	for i := 0; i+canaryBytes <= len(b); i++ {
		if !c.first[binary.BigEndian.Uint16(b[i:])] {
			continue
		}
		for _, w := range c.ways[binary.BigEndian.Uint64(b[i:])] {
			if bytes.HasPrefix(b[i:], w.text) {
				found = append(found, sighting{w, i})
			}
		}
	}
	return found
}

// sighting is a canary at a place.
type sighting struct {
	canary
	at int
}

// eachFile shows every file below a directory, and all that a node compresses: rows,
// those that were replaced too, and what the ledger keeps of events. where begins with
// the kind: "file", "row", "ledger".
func eachFile(dir string, show func(where string, b []byte)) error {
	return filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, filepath.Dir(dir))
		switch {
		case e.IsDir() && e.Name() == "ledger":
			return eachRecord(path, show)
		case e.IsDir():
			return nil
		case filepath.Ext(path) == ".sst":
			if err := fsm.EachStored(vfs.Default, path, func(b []byte) { show("row of "+name, b) }); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		b, err := os.ReadFile(path)
		show("file "+name, b)
		return err
	})
}

// eachRecord shows what a ledger keeps compressed.
func eachRecord(dir string, show func(where string, b []byte)) error {
	a, err := ledger.Open(ledger.Options{FS: vfs.Default, Dir: dir, ReadOnly: true})
	if err != nil {
		return err
	}
	defer a.Close()
	for r, err := range a.Records(0) {
		if err != nil {
			return err
		}
		show("ledger: a statement", r.Statement)
		show("ledger: an outcome", r.Outcome)
		for _, item := range r.Items {
			show("ledger: a payload item", item.Bytes)
		}
	}
	return nil
}

// TestCanaries: what is planted is found, however it is written, at any place, also where
// the bytes on the disk do not show it; and nothing else is.
func TestCanaries(t *testing.T) {
	secret := []byte(`pl/nted+"<c&nary> ~` + "\x01" + randomKey("x").SecretKey)
	var c canaries
	c.keep(t, "the canary", secret)
	c.keep(t, "another one", content(1, 32))
	quoted, _ := json.Marshal(map[string]string{"a": string(secret)})
	text, _ := xml.Marshal(string(secret[:19]) + string(secret[20:])) // no XML has the control character
	var inXML canaries
	inXML.keep(t, "the canary", append(bytes.Clone(secret[:19]), secret[20:]...))
	if len(inXML.find(text)) == 0 {
		t.Errorf("not found in %s", text)
	}
	for how, b := range map[string][]byte{
		"as it is": secret, "hex": []byte(hex.EncodeToString(secret)), "HEX": fmt.Appendf(nil, "%X", secret),
		"base64": []byte(base64.StdEncoding.EncodeToString(secret)), "base64 behind one": []byte(base64.URLEncoding.EncodeToString(append([]byte("a"), secret...))),
		"base64 behind two": []byte(base64.StdEncoding.EncodeToString(append([]byte("ab"), append(secret, "behind"...)...))),
		"query":             []byte(url.Values{"k": {string(secret)}}.Encode()), "path": []byte((&url.URL{Path: "/" + string(secret)}).EscapedPath() + "?" + url.PathEscape(string(secret))),
		"JSON": quoted, "%q": fmt.Appendf(nil, "%q", secret), "%v": fmt.Appendf(nil, "%+v", struct{ Key []byte }{secret}), "%+v": fmt.Appendf(nil, "%+v", struct{ Key string }{string(secret)}),
	} {
		for _, pad := range []int{0, 1, 1000} {
			found := c.find(append(append(content(3, pad), b...), content(4, pad)...))
			if len(found) == 0 || found[0].name != "the canary" {
				t.Errorf("%s behind %d bytes: found %v", how, pad, found)
			}
		}
	}
	if found := c.find(content(2, 1<<20)); len(found) > 0 {
		t.Errorf("found what is not there: %v", found)
	}
	plantRow(t, &c, secret)
}

// plantRow has Pebble compress a canary, in a row that is there and in one that is not
// any more.
func plantRow(t *testing.T, c *canaries, secret []byte) {
	dir := filepath.Join(t.TempDir(), "state")
	db, err := pebble.Open(dir, &pebble.Options{DisableWAL: true, DisableAutomaticCompactions: true, Logger: quietLogger{}})
	if err != nil {
		t.Fatal(err)
	}
	halves := bytes.Repeat(secret[len(secret)/2:], 50) // so that what follows them is a reference to them
	err = errors.Join(
		db.Set([]byte("k"), append(halves, secret...), pebble.NoSync), db.Set([]byte("l"), append(halves, secret...), pebble.NoSync), db.Flush(),
		db.Delete([]byte("k"), pebble.NoSync), db.Flush(), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	raw, rows := 0, 0
	err = eachFile(dir, func(where string, b []byte) {
		n := len(c.find(b))
		if strings.HasPrefix(where, "row") {
			rows += n
		} else if strings.HasSuffix(where, ".sst") {
			raw += n
		}
	})
	if err != nil || rows != 2 || raw != 0 {
		t.Errorf("%d of 2 rows, %d files of Pebble's, %v", rows, raw, err)
	}
}

// quietLogger has Pebble say nothing.
type quietLogger struct{}

func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}
func (quietLogger) Fatalf(f string, args ...any) {
	panic(fmt.Sprintf(f, args...))
}
