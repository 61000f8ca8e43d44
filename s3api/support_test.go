package s3api_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ironman/s3api"
	"ironman/s3api/iam"
)

var update = flag.Bool("update", false, "write SUPPORT.md anew")

// unmet are the operations that are known and authorised, but never done.
var unmet = [...]struct{ name, why string }{
	{"GetObjectTorrent", "Objects are not served by BitTorrent."},
	{"PutBucketReplication", "Buckets are not replicated; objects are on all nodes of the cluster as it is."},
	{"RestoreObject", "No object is in an archive."},
	{"SelectObjectContent", "Read the object, or a range of it, and select at the client. Amazon itself has closed it to new customers."},
}

// TestSupport: the list of what is supported is that of the tables. With -update it is
// written.
func TestSupport(t *testing.T) {
	const file = "SUPPORT.md"
	want := support()
	if *update {
		if err := os.WriteFile(file, want, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the tables say (%v): go generate ./s3api, and read the difference", file, err)
	}
}

// TestUnmet: what is said never to be done is what the matrix sees refused to whoever may.
func TestUnmet(t *testing.T) {
	for _, r := range s3Rows() {
		never := strings.HasPrefix(r.want, "501 ") || r.want == "403 InvalidObjectState" || r.want == "404 NoSuchKey"
		if listed := refusal(r.op) >= 0; listed != never {
			t.Errorf("%s answers %s: is it never done? The list says %v", r.op, r.want, listed)
		}
	}
}

// refusal is the place of an operation among the unmet; -1: it is done.
func refusal(name string) int {
	for i := range unmet {
		if unmet[i].name == name {
			return i
		}
	}
	return -1
}

// support is the text of the list.
func support() []byte {
	var b bytes.Buffer
	b.WriteString(`<!-- Generated from the tables of operations: go generate ./s3api. Do not edit. -->

# What is supported

## S3

Each operation takes the right to its action. Those behind it are taken too where the request asks for what they are about: a list of
access, tags, a lock, a version, a source, an object to append to. ` + "`BUCKET`" + ` may also be in the host's name. What a sub-resource names that is not here is answered with
501 NotImplemented, never taken for something else. The feed of a bucket (` + "`?feed`, `?feedCursor`" + `) is our own. What can be asked as of a moment (` + "`x-ironman-as-of`, or `BUCKET--at-...`" + `) takes the same rights, as they are now.

| Operation | Request | Action | Further actions | As of a moment |
|---|---|---|---|---|
`)
	for _, op := range s3api.OperationsForTest() {
		if refusal(op.Name) < 0 {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", op.Name, request(op), action(op), strings.Join(further(op), ", "), past(op))
		}
	}
	b.WriteString("\n### Refused, with a reason\n\n| Operation | Request | Action | Answer | Why |\n|---|---|---|---|---|\n")
	for _, op := range s3api.OperationsForTest() {
		if i := refusal(op.Name); i >= 0 {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", op.Name, request(op), action(op), answerOf(op.Name), unmet[i].why)
		}
	}
	buckets, objects := s3api.UnservedForTest()
	fmt.Fprintf(&b, "\n### Not implemented\n\nSub-resources of buckets: %s.\nOf objects: %s.\n", list(buckets), list(objects))
	for _, s := range []struct{ name, service string }{{"IAM", iam.ServiceIAM}, {"STS", iam.ServiceSTS}} {
		var names []string
		for _, n := range iam.Names() {
			if name, ok := strings.CutPrefix(n, s.service+":"); ok {
				names = append(names, name)
			}
		}
		fmt.Fprintf(&b, "\n## %s\n\n%d actions, posted to `/` of the same endpoint:\n%s.\n", s.name, len(names), strings.Join(names, ", "))
	}
	return b.Bytes()
}

// request is how an operation is asked for.
func request(op s3api.OperationForTest) string {
	path := op.Method + " /"
	switch {
	case op.Object:
		path += "BUCKET/KEY"
	case op.Bucket:
		path += "BUCKET"
	}
	if op.Query != "" {
		path += "?" + op.Query
	}
	path = "`" + path + "`"
	if op.Header != "" {
		path += " with `" + strings.ToLower(op.Header) + "`"
	}
	return path
}

func action(op s3api.OperationForTest) string {
	if op.Nobody {
		return "none: for everybody"
	}
	return op.Action
}

// further are the other actions that requests of an operation need, by the matrix.
func further(op s3api.OperationForTest) (out []string) {
	for _, r := range s3Rows() {
		for _, n := range r.needs {
			if r.op == op.Name && n.action != op.Action && !slices.Contains(out, n.action) {
				out = append(out, n.action)
			}
		}
	}
	return out
}

// past says whether an operation can be asked as of a moment, by the matrix.
func past(op s3api.OperationForTest) string {
	for _, r := range s3Rows() {
		if r.op == op.Name && r.showsPast() {
			return "yes"
		}
	}
	return ""
}

// answerOf is the answer to whoever may do an operation, by the matrix.
func answerOf(name string) string {
	for _, r := range s3Rows() {
		if r.op == name {
			return r.want
		}
	}
	return ""
}

func list(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }
