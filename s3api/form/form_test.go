package form

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"ironman/s3api/s3err"
)

const boundary = "xYzZY"

const contentType = "multipart/form-data; boundary=" + boundary

// of makes a form of name, value pairs; the file's value may be empty.
func of(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n", boundary, pairs[i], pairs[i+1])
	}
	return b.String() + "--" + boundary + "--\r\n"
}

func known(name string) bool { return name == "key" || name == "acl" }

// take reads a form whole: the file's bytes, or the code of the error.
func take(body io.Reader, kind string, change func(*Form)) (f *Form, file string, err error) {
	f, err = Read(body, kind, known)
	if err != nil {
		return nil, "", err
	}
	if change != nil {
		change(f)
	}
	b, err := io.ReadAll(f.File)
	return f, string(b), err
}

func TestForm(t *testing.T) {
	doc := of(`name="Key"; filename="key"`, "a/${filename}", `name="x-amz-meta-ü"`, "grüße\r\n--xYz\r\n", `name=empty`, "",
		`name="file"; filename="C:\tmp\..\photo.jpg"`, "bytes\r\n--xYzZ\r\n", `name="submit"`, "Upload")
	for name, r := range map[string]io.Reader{
		"at once": strings.NewReader(doc), "byte by byte": iotest.OneByteReader(strings.NewReader(doc)),
		"with the end": iotest.DataErrReader(strings.NewReader(doc)), "after a preamble": strings.NewReader("preamble\r\n" + doc + "epilogue"),
	} {
		f, file, err := take(r, contentType, nil)
		if err != nil || file != "bytes\r\n--xYzZ\r\n" {
			t.Errorf("%s: %q %v", name, file, err)
			continue
		}
		if len(f.Fields) != 3 || f.Fields["key"] != "a/${filename}" || f.Fields["x-amz-meta-ü"] != "grüße\r\n--xYz\r\n" || f.Fields["empty"] != "" {
			t.Errorf("%s: %q", name, f.Fields)
		}
		if f.BaseName() != "photo.jpg" {
			t.Errorf("%s: %q", name, f.BaseName())
		}
		if n, err := f.File.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%s: the end does not stay: %d %v", name, n, err)
		}
	}
}

func TestBaseName(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "a.txt", "/etc/passwd": "passwd", `C:\a\b`: "b", `../../x`: "x", `a/b\c/d`: "d", `a\..`: "..", "dir/": "", "": "",
	} {
		if got := (&Form{FileName: name}).BaseName(); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestRefused(t *testing.T) {
	key, file := `name="key"`, `name="file"; filename="f"`
	many := []string{}
	for i := range MaxCount + 1 {
		many = append(many, fmt.Sprintf(`name="f%d"`, i), "")
	}
	for name, tc := range map[string]struct{ kind, doc, code string }{
		"other type":         {"application/x-www-form-urlencoded", "key=a", "PreconditionFailed"},
		"no type":            {"", of(key, "a", file, "x"), "PreconditionFailed"},
		"no boundary":        {"multipart/form-data", of(key, "a", file, "x"), "MalformedPOSTRequest"},
		"long boundary":      {"multipart/form-data; boundary=" + strings.Repeat("a", 71), of(key, "a", file, "x"), "MalformedPOSTRequest"},
		"other boundary":     {"multipart/form-data; boundary=other", of(key, "a", file, "x"), "MalformedPOSTRequest"},
		"empty":              {contentType, "", "MalformedPOSTRequest"},
		"S-C5 no file":       {contentType, of(key, "a"), "InvalidArgument"},
		"S-C5 two keys":      {contentType, of(key, "a", `name="KEY"`, "b", file, "x"), "MalformedPOSTRequest"},
		"S-C5 key last":      {contentType, of(file, "x", key, "a"), "MalformedPOSTRequest"},
		"S-C5 two files":     {contentType, of(key, "a", file, "x", file, "y"), "IncorrectNumberOfFilesInPostRequest"},
		"S-C5 long":          {contentType, of(key, strings.Repeat("a", MaxFields), file, "x"), "MaxPostPreDataLengthExceeded"},
		"S-C5 very long":     {contentType, of(key, strings.Repeat("a", 1<<20), file, "x"), "MaxPostPreDataLengthExceeded"},
		"long preamble":      {contentType, strings.Repeat("a\r\n", 20<<10) + of(key, "a", file, "x"), "MaxPostPreDataLengthExceeded"},
		"long part header":   {contentType, of(key+"\r\nX: "+strings.Repeat("a", 1<<20), "a", file, "x"), "MaxPostPreDataLengthExceeded"},
		"long file header":   {contentType, of(key, "a", file+"\r\nX: "+strings.Repeat("a", MaxFields), "x"), "MaxPostPreDataLengthExceeded"},
		"many part headers":  {contentType, of(key+strings.Repeat("\r\nX: a", maxPartHeaders), "a", file, "x"), "MalformedPOSTRequest"},
		"many fields":        {contentType, of(append(many, file, "x")...), "MalformedPOSTRequest"},
		"no name":            {contentType, of(`filename="a"`, "a", file, "x"), "MalformedPOSTRequest"},
		"two names":          {contentType, of(`name=a; name=b`, "a", file, "x"), "MalformedPOSTRequest"},
		"two dispositions":   {contentType, of("name=a\r\nContent-Disposition: form-data; name=b", "a", file, "x"), "MalformedPOSTRequest"},
		"an attachment":      {contentType, strings.Replace(of(key, "a", file, "x"), "form-data;", "attachment;", 1), "MalformedPOSTRequest"},
		"no disposition":     {contentType, "--" + boundary + "\r\nX: y\r\n\r\na\r\n--" + boundary + "--\r\n", "MalformedPOSTRequest"},
		"broken header":      {contentType, "--" + boundary + "\r\nno colon\r\n\r\na\r\n--" + boundary + "--\r\n", "MalformedPOSTRequest"},
		"not UTF-8":          {contentType, of(key, "\xff", file, "x"), "MalformedPOSTRequest"},
		"name not UTF-8":     {contentType, of("name=\"\xff\"", "a", file, "x"), "MalformedPOSTRequest"},
		"no end":             {contentType, strings.TrimSuffix(of(key, "a", file, "x"), "--\r\n"), "MalformedPOSTRequest"},
		"no end of the file": {contentType, strings.TrimSuffix(of(key, "a", file, "x"), "\r\n--"+boundary+"--\r\n"), "MalformedPOSTRequest"},
		"no end of a field":  {contentType, of(key, "a")[:60], "MalformedPOSTRequest"},
		"much after it":      {contentType, of(key, "a", file, "x", `name="more"`, strings.Repeat("a", MaxFields+readAhead)), "MalformedPOSTRequest"},
	} {
		_, _, err := take(strings.NewReader(tc.doc), tc.kind, nil)
		if err == nil || s3err.From(err).Code != tc.code {
			t.Errorf("%s: %v, want %s", name, err, tc.code)
		}
	}
}

// A form of exactly the limit is taken, one byte more is not.
func TestLimit(t *testing.T) {
	empty := len(of(`name="key"`, "", `name="file"`, "")) - len("\r\n--"+boundary+"--\r\n")
	for n, ok := range map[int]bool{MaxFields - empty - 64: true, MaxFields - empty + 64: false} {
		_, file, err := take(strings.NewReader(of(`name="key"`, strings.Repeat("a", n), `name="file"`, strings.Repeat("x", 1<<20))), contentType, nil)
		if (err == nil) != ok || ok && len(file) != 1<<20 {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestBound(t *testing.T) {
	for _, tc := range []struct {
		least, most int64
		size        int
		code        string
	}{
		{0, 1 << 40, 3, ""}, {3, 3, 3, ""}, {0, 0, 0, ""}, {0, 2, 3, "EntityTooLarge"}, {4, 10, 3, "EntityTooSmall"}, {0, 0, 1, "EntityTooLarge"},
		{1, 0, 0, "EntityTooSmall"}, {0, 1 << 20, 1<<20 + 1, "EntityTooLarge"}, {0, 1 << 20, 1 << 20, ""},
	} {
		doc := of(`name="key"`, "a", `name="file"`, strings.Repeat("x", tc.size))
		_, file, err := take(strings.NewReader(doc), contentType, func(f *Form) { f.File.Bound(tc.least, tc.most) })
		if tc.code == "" && (err != nil || len(file) != tc.size) || tc.code != "" && (err == nil || s3err.From(err).Code != tc.code) {
			t.Errorf("%+v: %d bytes, %v", tc, len(file), err)
		}
	}
}

// A body that breaks is not a form that is malformed.
func TestBrokenBody(t *testing.T) {
	gone := errors.New("the connection is gone")
	doc := of(`name="key"`, "a", `name="file"`, strings.Repeat("x", 10000))
	for n := range len(doc) {
		if n > 300 && n%97 != 0 {
			continue
		}
		_, _, err := take(io.MultiReader(strings.NewReader(doc[:n]), iotest.ErrReader(gone)), contentType, nil)
		if !errors.Is(err, gone) && n < len(doc)-8 {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

// FuzzForm: whatever a form is, it is read within the limits or refused; and what
// mime/multipart writes is read as it was written.
func FuzzForm(f *testing.F) {
	f.Add([]byte(of(`name="key"`, "a", `name="file"; filename="f"`, "x")), "key", "file")
	f.Add([]byte("--xYzZY\nContent-Disposition: form-data; name=file\n\nx\n--xYzZY--"), "a", "\r\n--xYzZY")
	f.Add([]byte(of(`name="file"`, "x", `name*=UTF-8''key`, "y")), "file", "")
	f.Fuzz(func(t *testing.T, doc []byte, name, value string) {
		form, file, err := take(bytes.NewReader(doc), contentType, nil)
		if err != nil {
			if e := s3err.From(err); e.Status >= 500 {
				t.Fatalf("%v: %q", err, doc)
			}
		} else {
			total := 0
			for n, v := range form.Fields {
				total += len(n) + len(v)
			}
			if total > MaxFields || len(form.Fields) > MaxCount || len(file) > len(doc) {
				t.Fatalf("%d bytes of fields", total)
			}
		}
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = w.WriteField(name, value)
		p, _ := w.CreateFormFile("file", name)
		_, _ = io.WriteString(p, value)
		_ = w.Close()
		form, file, err = take(&b, w.FormDataContentType(), nil)
		if err == nil && (file != value || form.Fields[strings.ToLower(name)] != value && strings.ToLower(name) != "file") {
			if _, exact := form.Fields[strings.ToLower(name)]; exact || file != value {
				t.Fatalf("%q %q became %q %q", name, value, form.Fields, file)
			}
		}
	})
}
