package form

import (
	"io"
	"math"
	"mime"
	"mime/multipart"
	"strings"
	"unicode/utf8"

	"ironman/s3api/s3err"
)

// Limits of what comes before the file.
const (
	// MaxFields bounds names, values, part headers and boundaries together, in bytes.
	MaxFields = 20 << 10
	// MaxCount bounds the number of fields.
	MaxCount = 128

	maxPartHeaders = 8
	maxBoundary    = 70 // RFC 2046
	// readAhead is how far the parser may be ahead of what it has taken.
	readAhead = 8 << 10
)

// fileField is the name of the file.
const fileField = "file"

// Form is an upload form up to the bytes of its file.
type Form struct {
	// Fields are the fields before the file: names in lower case.
	Fields map[string]string
	// FileName is the file's name as the client sent it, path and all.
	FileName string
	File     *File
}

// BaseName is the file's name without the path that some browsers send with it: what
// follows the last slash, of either kind.
func (f *Form) BaseName() string {
	return f.FileName[strings.LastIndexAny(f.FileName, `/\`)+1:]
}

// Read reads a form up to its file. known tells the names that mean something: one of
// them behind the file is refused, for it would be ignored. Errors are those that the
// client is to see, or the body's own.
func Read(body io.Reader, contentType string, known func(name string) bool) (*Form, error) {
	boundary, err := boundaryOf(contentType)
	if err != nil {
		return nil, err
	}
	m := &meter{r: body, left: MaxFields + readAhead, beyond: tooLong()}
	r := &reader{meter: m, parts: multipart.NewReader(m, boundary), boundary: len(boundary), known: known}
	f := &Form{Fields: make(map[string]string)}
	for {
		p, err := r.next()
		switch {
		case err == io.EOF:
			return nil, s3err.InvalidArgument(fileField, "0", "POST requires exactly one file upload per request.")
		case err != nil:
			return nil, err
		case p.name == fileField:
			m.left = math.MaxInt64
			f.FileName = p.fileName
			f.File = &File{r: r, part: p.Part, most: math.MaxInt64}
			return f, nil
		}
		if _, repeated := f.Fields[p.name]; repeated {
			return nil, malformed("The field '" + p.name + "' is repeated.")
		}
		if len(f.Fields) == MaxCount {
			return nil, malformed("There are too many fields.")
		}
		if f.Fields[p.name], err = r.value(p); err != nil {
			return nil, err
		}
	}
}

// boundaryOf reads the Content-Type of a form.
func boundaryOf(contentType string) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if kind != "multipart/form-data" {
		return "", s3err.PreconditionFailed("Bucket POST must be of the enclosure-type multipart/form-data")
	}
	if b := params["boundary"]; err == nil && b != "" && len(b) <= maxBoundary {
		return b, nil
	}
	return "", malformed("The Content-Type has no boundary.")
}

func malformed(why string) error {
	e := s3err.New("MalformedPOSTRequest")
	e.Message += " " + why
	return e
}

func tooLong() error {
	return s3err.New("MaxPostPreDataLengthExceeded").WithInt("MaxPostPreDataLengthBytes", MaxFields)
}

// reader takes parts one by one and counts what they cost.
type reader struct {
	meter    *meter
	parts    *multipart.Reader
	boundary int // its length
	taken    int // bytes of boundaries, headers and values so far
	known    func(name string) bool
}

// part is a part whose bytes are to be read next.
type part struct {
	*multipart.Part
	name     string // lower case
	fileName string
}

// next gives the next part; io.EOF after the last.
func (r *reader) next() (*part, error) {
	raw, err := r.parts.NextRawPart()
	if err == io.EOF {
		return nil, io.EOF
	}
	if err != nil {
		return nil, r.broken(err)
	}
	lines := 0
	r.taken += r.boundary + len("--\r\n\r\n\r\n")
	for name, values := range raw.Header {
		for _, v := range values {
			lines++
			r.taken += len(name) + len(v) + len(": \r\n")
		}
	}
	if r.taken > MaxFields {
		return nil, r.meter.beyond
	}
	if lines > maxPartHeaders || len(raw.Header["Content-Disposition"]) != 1 {
		return nil, malformed("A part has too many headers, or not one Content-Disposition.")
	}
	kind, params, err := mime.ParseMediaType(raw.Header["Content-Disposition"][0])
	name, fileName := params["name"], params["filename"]
	if err != nil || kind != "form-data" || name == "" || !utf8.ValidString(name) || !utf8.ValidString(fileName) {
		return nil, malformed("A part has no name.")
	}
	return &part{raw, strings.ToLower(name), fileName}, nil
}

// value reads a field.
func (r *reader) value(p *part) (string, error) {
	b, err := io.ReadAll(p)
	if err != nil {
		return "", r.broken(err)
	}
	if r.taken += len(b); r.taken > MaxFields {
		return "", r.meter.beyond
	}
	if !utf8.Valid(b) {
		return "", malformed("The field '" + p.name + "' is not UTF-8.")
	}
	return string(b), nil
}

// broken explains why the parser cannot go on: the body failed, it ended before the
// form did, or it is no form.
func (r *reader) broken(err error) error {
	switch {
	case r.meter.err != nil && r.meter.err != io.EOF:
		return r.meter.err
	case r.meter.err == io.EOF:
		return malformed("It ends early.")
	}
	return s3err.New("MalformedPOSTRequest").Because(err)
}

// meter bounds how much is read of a body. Its error stays.
type meter struct {
	r      io.Reader
	left   int64
	beyond error // of reading more than is left
	err    error
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.left <= 0 {
		m.err = m.beyond
		return 0, m.err
	}
	if int64(len(p)) > m.left {
		p = p[:m.left]
	}
	n, err := m.r.Read(p)
	m.left -= int64(n)
	m.err = err
	return n, err
}
