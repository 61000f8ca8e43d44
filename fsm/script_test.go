package fsm

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ironman/wal/event"
)

var update = flag.Bool("update", false, "rewrite what the transcripts say came of their commands; read the difference before you commit it")

// TestTranscripts runs testdata/*.txt. A file is a list of blocks: commands, a
// line "----", and what came of each command, up to an empty line. Lines that
// begin with # are for the reader.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScript(t).run(string(b))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(b) {
				t.Errorf("%s is now:\n%s", file, got)
			}
		})
	}
}

// script runs the commands of one transcript.
type script struct {
	t *testing.T
	*rig
	base    uint64 // of requests that name none; 0: the present
	uploads map[string]upload
	packs   map[uint32]uint64 // counter of the pack that a disk appends to
}

type upload struct {
	bucket uint64
	key    string
	id     *event.Version
}

func newScript(t *testing.T) *script {
	s := &script{t: t, uploads: make(map[string]upload), packs: make(map[uint32]uint64)}
	s.rig = newRig(t, Options{})
	s.stamp = 1_800_000_000e9 - 1e9
	return s
}

func (s *script) run(text string) string {
	var out []string
	defer func() { s.close() }()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		var results []string
		for ; i < len(lines) && lines[i] != "----" && lines[i] != ""; i++ {
			out = append(out, lines[i])
			if !strings.HasPrefix(lines[i], "#") {
				results = append(results, s.command(lines[i])...)
			}
		}
		for i < len(lines) && lines[i] != "" {
			i++ // what it said before
		}
		if len(results) > 0 {
			out = append(append(out, "----"), results...)
		}
		out = append(out, "")
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n"
}

// args are the words of a command: name=value or plain.
type args struct {
	t     *testing.T
	line  string
	words []string
	named map[string]string
}

func (s *script) command(line string) []string {
	a := args{t: s.t, line: line, named: make(map[string]string)}
	fields := strings.Fields(line)
	for _, w := range fields[1:] {
		if name, value, ok := strings.Cut(w, "="); ok {
			if unquoted, err := strconv.Unquote(value); err == nil {
				value = unquoted
			}
			a.named[name] = value
		} else {
			a.words = append(a.words, w)
		}
	}
	if f := queries[fields[0]]; f != nil {
		return f(s, a)
	}
	if f := vaultQueries[fields[0]]; f != nil {
		return f(s, a)
	}
	f := events[fields[0]]
	if f == nil {
		f = vaultEvents[fields[0]]
	}
	if f == nil {
		s.t.Fatalf("no such command: %s", line)
	}
	d := f(s, a, s.request(a))
	if _, ok := a.named["feature"]; !ok {
		d.Statement.Header.FeatureLevel = max(d.Statement.Header.FeatureLevel, d.Statement.Level())
	}
	r := s.propose(d)
	if d.Statement.GetUploadCreated() != nil {
		r.Outcome.NullVersion = true // it is no version
	}
	return []string{describeResult(r)}
}

// request is the header of a command's event.
func (s *script) request(a args) *event.Header {
	h := s.header()
	if id := a.number("id"); id > 0 {
		h.RequestId = id16(id)
	}
	if s.base > 0 {
		h.Base = s.base
	}
	if base, ok := a.named["base"]; ok {
		h.Base = a.parse(base)
	}
	if _, ok := a.named["feature"]; ok {
		h.FeatureLevel = uint32(a.number("feature"))
	}
	return h
}

func describeResult(r Result) string {
	o := r.Outcome
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", r.Seq, describeRefusal(o.Refusal))
	if r.Duplicate {
		b.WriteString(" duplicate")
	}
	if o.Version != nil {
		b.WriteString(" " + versionName(o.Version, o.NullVersion))
	}
	if o.Etag != "" {
		fmt.Fprintf(&b, " etag=%s", o.Etag)
	}
	if o.Allocated != 0 {
		fmt.Fprintf(&b, " allocated=%d", o.Allocated)
	}
	for _, sub := range o.Subs {
		fmt.Fprintf(&b, " [%s", describeRefusal(sub.Refusal))
		if sub.Absent {
			b.WriteString(" absent")
		}
		if sub.DeleteMarker {
			b.WriteString(" marker")
		}
		if sub.Restored != 0 {
			b.WriteString(" " + strings.ToLower(strings.TrimPrefix(sub.Restored.String(), "RESTORED_KIND_")))
		}
		if sub.Version != nil {
			b.WriteString(" " + versionName(sub.Version, sub.NullVersion))
		}
		if sub.Etag != "" {
			fmt.Fprintf(&b, " size=%d etag=%s", sub.Size, sub.Etag)
		}
		b.WriteString("]")
	}
	return b.String()
}

func describeRefusal(r event.Refusal) string {
	if r == none {
		return "ok"
	}
	return strings.TrimPrefix(r.String(), "REFUSAL_")
}

// versionName says "version" of a null version, and "id" of one that a client can name.
func versionName(v *event.Version, null bool) string {
	if null {
		return "version=" + describeVersion(v)
	}
	return "id=" + describeVersion(v)
}

func describeVersion(v *event.Version) string {
	return fmt.Sprintf("%d.%d", v.GetSeq(), v.GetOrdinal())
}

func (a args) parse(text string) uint64 {
	a.t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		a.t.Fatalf("%s: %v", a.line, err)
	}
	return n
}

func (a args) number(name string) uint64 {
	if a.named[name] == "" {
		return 0
	}
	return a.parse(a.named[name])
}

func (a args) duration(name string) int64 {
	if a.named[name] == "" {
		return 0
	}
	d, err := time.ParseDuration(a.named[name])
	if err != nil {
		a.t.Fatalf("%s: %v", a.line, err)
	}
	return int64(d)
}

func (a args) has(word string) bool {
	for _, w := range a.words {
		if w == word {
			return true
		}
	}
	return false
}

// list is the value of a name, cut at commas.
func (a args) list(name string) []string {
	if a.named[name] == "" {
		return nil
	}
	return strings.Split(a.named[name], ",")
}

// first is the command's first plain word.
func (a args) first() string {
	if len(a.words) == 0 {
		a.t.Fatalf("%s: what?", a.line)
	}
	return a.words[0]
}

// pair reads "12:3".
func (a args) pair(text string) (x, y uint64) {
	l, r, ok := strings.Cut(text, ":")
	if !ok {
		a.t.Fatalf("%s: %q is no pair", a.line, text)
	}
	return a.parse(l), a.parse(r)
}

func (a args) blobIDs(texts []string) []*event.BlobID {
	var ids []*event.BlobID
	for _, text := range texts {
		x, y := a.pair(text)
		ids = append(ids, &event.BlobID{Incarnation: x, Counter: y})
	}
	return ids
}

func (a args) version(text string) *event.Version {
	seq, ordinal, _ := strings.Cut(text, ".")
	return &event.Version{Seq: a.parse(seq), Ordinal: uint32(a.parse(ordinal))}
}

// place reads "bucket/key" as of now.
func (s *script) place(a args, text string) (uint64, string) {
	bucket, key, _ := strings.Cut(text, "/")
	if id, ok := strings.CutPrefix(bucket, "#"); ok { // one that may be gone
		return a.parse(id), key
	}
	v := s.view()
	defer v.Close()
	b, err := v.BucketByName(bucket)
	if err != nil {
		s.t.Fatal(err)
	}
	if b == nil {
		return 1 << 40, key // no such bucket
	}
	return b.Bucket, key
}
