package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"ironman/wal/digest"
)

// Target is a place that holds a backup: names that are separated by slashes, and bytes.
// Safe for concurrent use.
type Target interface {
	// Put makes bytes durable under a name. Whoever reads it meanwhile, or after an error, finds
	// all of the new bytes or what was there before. Bytes that are not what the content says are
	// an error and get no name.
	Put(ctx context.Context, name string, c Content) error
	// Open reads length bytes from off on; a length below 0: to the end. A name that is not there
	// is ErrNotFound. A range that is not there may be an error or fewer bytes.
	Open(ctx context.Context, name string, off, length int64) (io.ReadCloser, error)
	// List tells which names begin with a prefix, ascending, and how long each is.
	List(ctx context.Context, prefix string) ([]Item, error)
	// Settle makes names durable that are there, whoever put them: also one that was killed
	// before its Put had returned.
	Settle(ctx context.Context, names iter.Seq[string]) error
	// String is what a person calls the target.
	String() string
}

// Item is one name of a target.
type Item struct {
	Name string
	Size int64
}

// Content is what is to be put.
type Content struct {
	Size int64
	Sum  digest.Sum
	// Open begins to read it, from the start each time.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Errors of a backup.
var (
	// ErrNotFound says that a name is not there.
	ErrNotFound = errors.New("backup: not there")
	// ErrDamaged says that something is not what it was when it was put.
	ErrDamaged = errors.New("backup: damaged")
	// ErrNewer says that a release after this one has written something.
	ErrNewer = errors.New("backup: written by a newer release")
)

// damaged is ErrDamaged of a name.
func damaged(name, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrDamaged, name, fmt.Sprintf(format, args...))
}

// contentOf is the content that bytes are. They must not change any more.
func contentOf(b []byte) Content {
	return Content{Size: int64(len(b)), Sum: digest.SHA256(b), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// File is a file of a point: its name there, and its bytes.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	Sum  string `json:"sha256"` // hexadecimal
}

// place is where a file lies by its content.
func (f *File) place() string { return "files/" + f.Sum[:2] + "/" + f.Sum }

// sum is the sum as bytes. check has seen to that it is one.
func (f *File) sum() (s digest.Sum) {
	b, _ := hex.DecodeString(f.Sum)
	copy(s[:], b)
	return s
}

// maxFileBytes bounds every file of a backup.
const maxFileBytes = 1 << 40

// check refuses what cannot be a file of a point.
func (f *File) check() error {
	b, err := hex.DecodeString(f.Sum)
	if err != nil || len(b) != digest.SHA256Size || hex.EncodeToString(b) != f.Sum {
		return fmt.Errorf("the sum %q is none", f.Sum)
	}
	if f.Size < 0 || f.Size > maxFileBytes {
		return fmt.Errorf("%d bytes", f.Size)
	}
	if !plainName(f.Name) {
		return fmt.Errorf("the name %q is none", f.Name)
	}
	return nil
}

// maxName bounds names, in bytes.
const maxName = 256

// plainName tells whether a name is one that every target can hold and that leads nowhere else.
func plainName(name string) bool {
	if name == "" || len(name) > maxName || strings.HasSuffix(name, tempSuffix) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || strings.ContainsFunc(part, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
		}) {
			return false
		}
	}
	return true
}

// readAll reads a whole name of at most limit bytes.
func readAll(ctx context.Context, t Target, name string, limit int64) ([]byte, error) {
	r, err := t.Open(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, damaged(name, "longer than %d bytes", limit)
	}
	return b, nil
}

// verified reads something of a known size and sum: where that is not what comes, the error
// is ErrDamaged and comes in the place of io.EOF.
type verified struct {
	r    io.ReadCloser
	name string
	left int64
	sum  digest.Sum
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func newVerified(r io.ReadCloser, name string, size int64, sum digest.Sum) io.ReadCloser {
	return &verified{r: r, name: name, left: size, sum: sum, hash: digest.NewSHA256()}
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := v.r.Read(p)
	if int64(n) > v.left {
		return 0, damaged(v.name, "it is longer than it was")
	}
	v.left -= int64(n)
	v.hash.Write(p[:n])
	switch {
	case err == io.EOF && v.left > 0:
		return n, damaged(v.name, "its last %d bytes are missing", v.left)
	case err == io.EOF && !bytes.Equal(v.hash.Sum(nil), v.sum[:]):
		return n, damaged(v.name, "its bytes have another SHA-256")
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("%s: %w", v.name, err)
	}
	return n, err
}

// Close implements io.Closer.
func (v *verified) Close() error { return v.r.Close() }
