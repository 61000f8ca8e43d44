package s3api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
)

// matrix is the world with its buckets, and what stands for them in the rows.
type matrix struct {
	*world
	actors []*actor
	owner  sig.Credential
	names  map[string][]string // of placeholders, by bucket: old, new, old, new
	grants []string            // headers that give each of grantAccounts its permission
	closed string              // version of source/closed
	tagged string              // of source/tagged
	asked  int
	turn   int // of the forms, where not all are used
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{world: newWorld(t), names: make(map[string][]string)}
	m.actors = m.cast()
	m.now = m.now.Add(16 * time.Minute) // which is when one session was over
	for _, a := range m.actors {
		if a.part == owner && m.owner.AccessKey == "" {
			m.owner = a.cred
		}
	}
	var read []string
	for _, g := range grantAccounts {
		m.grants = append(m.grants, g.header, `id="`+canonical(g.account)+`"`)
		read = append(read, `id="`+canonical(g.account)+`"`)
	}
	m.must(m.owner, 200, "PUT", "/source", "")
	m.must(m.owner, 200, "PUT", "/source?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	read = append(read, `id="`+canonical(namedAccount)+`"`)
	for i := range most {
		read = append(read, `id="`+canonical(almostAccount(i))+`"`)
	}
	m.must(m.owner, 200, "PUT", "/source/open", "open", "X-Amz-Grant-Read", strings.Join(read, ", "))
	m.tagged = m.must(m.owner, 200, "PUT", "/source/tagged", "tagged", "X-Amz-Tagging", "a=b", "X-Amz-Grant-Read", strings.Join(read, ", ")).header.Get("X-Amz-Version-Id")
	m.closed = m.must(m.owner, 200, "PUT", "/source/closed", "closed").header.Get("X-Amz-Version-Id")
	for _, bucket := range []string{"matrix", "public"} {
		m.bucket(bucket)
	}
	m.must(m.owner, 204, "PUT", "/public?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::public","arn:aws:s3:::public/*"]}]}`)
	return m
}

// bucket makes one with all that rows ask for.
func (m *matrix) bucket(name string) {
	m.must(m.owner, 200, "PUT", "/"+name, "", append(slices.Clip(m.grants), "X-Amz-Bucket-Object-Lock-Enabled", "true")...)
	m.must(m.owner, 200, "PUT", "/"+name+"?tagging", tagsXML)
	m.must(m.owner, 200, "PUT", "/"+name+"?cors", "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>")
	var objectGrants []string // WRITE means nothing to an object
	for i := 0; i < len(m.grants); i += 2 {
		if m.grants[i] != "X-Amz-Grant-Write" {
			objectGrants = append(objectGrants, m.grants[i], m.grants[i+1])
		}
	}
	version := m.must(m.owner, 200, "PUT", "/"+name+"/key", "the bytes", objectGrants...).header.Get("X-Amz-Version-Id")
	id := m.must(m.owner, 200, "POST", "/"+name+"/key?uploads", "").field("UploadId")
	etag := m.must(m.owner, 200, "PUT", "/"+name+"/key?partNumber=1&uploadId="+id, "a part").header.Get("Etag")
	m.names[name] = []string{
		"BUCKET", name, "KEY", "key", "VERSION", version, "UPLOAD", id, "ETAG", strings.Trim(etag, `"`), "OWNER", canonical(ownerAccount), "CLOSED", m.closed, "TAGGED", m.tagged,
	}
	for _, a := range m.actors {
		if a.grant == "w" {
			m.must(a.cred, 200, "PUT", "/"+name+"/foreign", "not mine!") // as long as the key's
		}
	}
	m.names[name] = append(m.names[name], "MOMENT", fmt.Sprint(m.machine.Applied().Next-1))
}

// fill puts names into a row's question.
func (m *matrix) fill(q question, bucket string) *question {
	r := strings.NewReplacer(m.names[bucket]...)
	out := &question{method: q.method, target: r.Replace(q.target), body: r.Replace(q.body)}
	for _, h := range q.headers {
		out.headers = append(out.headers, r.Replace(h))
	}
	return out
}

// statement is one of a policy. Actions go by "Action" or "NotAction".
type statement struct {
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    string            `json:",omitempty"`
	NotAction string            `json:",omitempty"`
	Resource  []string
}

func document(statements ...statement) string {
	b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err) // of a type above
	}
	return string(b)
}

// setPolicy replaces the policy of one of the owner's users.
func (m *matrix) setPolicy(user string, statements ...statement) {
	m.Helper()
	m.vault(m.owner, "iam", "PutUserPolicy", "UserName", user, "PolicyName", "own", "PolicyDocument", document(statements...))
}

// allow gives everybody the rights that make them who they are in a row.
func (m *matrix) allow(r *row) {
	everything := []string{"arn:aws:s3:::matrix", "arn:aws:s3:::matrix/*"}
	by := func(principal string) map[string]string { return map[string]string{"AWS": principal} }
	var just, elsewhere []statement
	bucket := []statement{{Effect: "Deny", Principal: by("arn:aws:iam::" + ownerAccount + ":user/barred"), Action: "s3:*", Resource: everything}}
	for i, n := range r.needs {
		on := m.resources(n.resource)
		just = append(just, statement{Effect: "Allow", Action: n.action, Resource: on})
		elsewhere = append(elsewhere, statement{Effect: "Allow", Action: n.action, Resource: []string{"arn:aws:s3:::elsewhere", "arn:aws:s3:::elsewhere/*"}})
		m.setPolicy(fmt.Sprint("lacking", i), statement{Effect: "Allow", NotAction: n.action, Resource: []string{"*"}})
		m.setPolicy(fmt.Sprint("denied", i), statement{Effect: "Allow", Action: "*", Resource: []string{"*"}}, statement{Effect: "Deny", Action: n.action, Resource: on})
		bucket = append(bucket, statement{Effect: "Allow", Principal: by(almostAccount(i)), NotAction: n.action, Resource: everything})
		if strings.HasPrefix(n.resource, "BUCKET") {
			bucket = append(bucket, statement{Effect: "Allow", Principal: by(namedAccount), Action: n.action, Resource: on})
		}
	}
	if just != nil {
		m.setPolicy("exact", just...)
		m.setPolicy("elsewhere", elsewhere...)
	}
	m.must(m.owner, 204, "PUT", "/matrix?policy", document(bucket...))
}

// resources are the ARNs of what a need is about: of an object also one that is another
// account's, and one that is not there.
func (m *matrix) resources(resource string) []string {
	const prefix = "arn:aws:s3:::"
	names := strings.NewReplacer(m.names["matrix"]...)
	out := []string{prefix + names.Replace(resource)}
	if bucket, ok := strings.CutSuffix(resource, "/KEY"); ok {
		bucket = names.Replace(bucket)
		out = append(out, prefix+bucket+"/foreign", prefix+bucket+"/missing")
	}
	return out
}
