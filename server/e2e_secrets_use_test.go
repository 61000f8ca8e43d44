package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"ironman/s3api/sig"
	"ironman/server"
)

// first is a node with every kind of secret that it can be given.
func (s *secrets) first() *process {
	join, token := randomKey("join").SecretKey, randomKey("token").SecretKey
	s.keep("the join secret", []byte(join))
	s.keep("a webhook's token", []byte(token))
	inURL, gone := randomKey("url").SecretKey, randomKey("gone").SecretKey
	s.keep("what a webhook's URL holds", []byte(inURL))
	s.keep("what the URL of a webhook that is not there holds", []byte(gone))
	s.join, s.hookTok, s.link = writeJoinSecret(s.T, join), token, freeAddress(s.T)
	s.p = newProcess(s.T, "--log-level", "debug", "--snapshot-entries", "200", "--allow-insecure-sse-c", "--kms-keys", "testkey-*",
		"--link", s.link, "--join-secret-file", s.join, "--notify-private",
		"--notify", "hook="+s.hook.URL+"/"+inURL+"?key="+inURL, "--notify", "gone=http://127.0.0.1:9/"+gone)
	s.p.keys = []server.KeySpec{randomKey("carol")}
	s.p.env = []string{"IRONMAN_NOTIFY_TOKEN_hook=" + token, "IRONMAN_NOTIFY_TOKEN_gone=" + token}
	return s.p
}

// second is a node that joins, for which it proves the join secret and gets the keyring.
func (s *secrets) second() *process {
	q := newProcess(s.T, "--log-level", "debug", "--link", freeAddress(s.T), "--join", s.link, "--join-secret-file", s.join)
	q.disks, q.cred = q.disks[:1], s.p.cred
	q.start()
	return q
}

// tell has webhooks be told of changes: one that is down at first, one that is not there.
func (s *secrets) tell() {
	c := s.p.client()
	for _, name := range []string{"hook", "gone"} {
		c.must(s, 200, "PUT", "/told-"+name, nil)
		doc := bytes.ReplaceAll(notification("rule", "", "s3:ObjectCreated:*"), []byte(":hook:"), []byte(":"+name+":"))
		c.must(s, 200, "PUT", "/told-"+name+"?notification", doc)
		c.must(s, 200, "PUT", "/told-"+name+"/key", nil)
	}
}

// told waits until a webhook was told, with its token, after it had been down.
func (s *secrets) told() {
	await(s.T, "the webhook is asked while it is down", func() bool {
		s.hook.mu.Lock()
		defer s.hook.mu.Unlock()
		return s.hook.denied > 0
	})
	s.hook.setDown(false)
	s.hook.await(s.T, 1)
	s.hook.mu.Lock()
	defer s.hook.mu.Unlock()
	if s.hook.tokens[0] != "Bearer "+s.hookTok {
		s.Error("the webhook's token was not used")
	}
}

// forms sends browsers' forms, good ones and bad ones. Policy and signature together are
// as good as a key while the policy lasts.
func (s *secrets) forms(who *client) {
	key := content(200, 32)
	s.keep("the customer key of a form", key)
	for _, version := range []int{2, 4} {
		for name, change := range map[string]func(sig.Fields){
			"good":                 func(sig.Fields) {},
			"of another signature": func(f sig.Fields) { f["key"] = "form-x" },
			"of another key":       func(f sig.Fields) { f["key"] = "another" },
			"of another customer":  func(f sig.Fields) { f["x-amz-server-side-encryption-customer-key-md5"] = contentMD5([]byte("other")) },
			"of a session":         func(f sig.Fields) { f["x-amz-security-token"] = base64.StdEncoding.EncodeToString(key) },
		} {
			fields := sig.Fields{"key": "form-${filename}"}
			conditions := []string{`{"bucket": "canary"}`, `["starts-with", "$key", "form-"]`}
			for header, value := range customer(customerHeader, key) {
				fields[strings.ToLower(header)] = value
				conditions = append(conditions, `{"`+strings.ToLower(header)+`": "`+value+`"}`)
			}
			f := uploadForm{version: version, fileName: "f", file: "what is in the file", fields: fields, conditions: conditions}
			signed := f.signed(s.p.client().cred)
			s.keep("a form's policy", []byte(signed["policy"]))
			signature := signed["x-amz-signature"] + signed["signature"]
			s.keep("a form's signature", []byte(signature))
			change(signed)
			if name == "of another signature" {
				signed["policy"] = base64.StdEncoding.EncodeToString([]byte(`{"expiration": "2100-01-01T00:00:00Z", "conditions": [["starts-with", "$key", ""]]}`))
			}
			a := post(s.T, who, "/canary", f.encode(signed))
			if (a.status < 300) != (name == "good") {
				s.Errorf("a form %s: %v", name, a)
			}
			s.look("the answer to a form "+name, a.body)
		}
	}
}

// await waits for a condition.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come: " + what)
		}
	}
}

// vault has keys, sessions and an account made, and uses them.
func (s *secrets) vault() {
	root := s.p.vault(s.T, awsCredentials(s.p.cred))
	keep := func(name string, v *vaultRun) {
		c, err := v.cred.Retrieve(v.ctx)
		root.ok(err)
		s.keep(name, []byte(c.SecretAccessKey))
		if c.SessionToken != "" {
			s.keep(name+"'s token", []byte(c.SessionToken))
		}
		if _, err := v.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{}); err != nil {
			s.Errorf("%s: %v", name, err)
		}
		s.presign(name, v)
	}
	tenant, _ := s.p.tenant(s.T, "tenant")
	keep("a tenant's secret", tenant)
	user := tenant.user("user")
	tenant.let("user", "all", []string{"*"}, []string{"*"})
	keep("a user's secret", user)
	role := tenant.role("role", user.who(), "")
	own, err := user.sts.GetSessionToken(user.ctx, &sts.GetSessionTokenInput{})
	root.ok(err)
	keep("a session's secret", user.session(own.Credentials))
	assumed, err := user.sts.AssumeRole(user.ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")})
	root.ok(err)
	keep("a role's session's secret", user.session(assumed.Credentials))
	federated, err := user.sts.GetFederationToken(user.ctx, &sts.GetFederationTokenInput{Name: aws.String("visitor"), Policy: aws.String(allowing([]string{"s3:*"}, []string{"*"}))})
	root.ok(err)
	keep("a visitor's secret", user.session(federated.Credentials))
	// A secret that is given for another's key is in no answer, and neither is a token.
	_, err = tenant.session(&types.Credentials{AccessKeyId: own.Credentials.AccessKeyId, SecretAccessKey: assumed.Credentials.SecretAccessKey, SessionToken: assumed.Credentials.SessionToken}).
		sts.GetCallerIdentity(user.ctx, &sts.GetCallerIdentityInput{})
	if err == nil {
		s.Error("another's token was taken")
	} else {
		s.look("an error of STS", []byte(err.Error()))
	}
}

// presign has a key or a session presign a request: its signature and token are in the
// URL. It may read nothing of that bucket, and is told so.
func (s *secrets) presign(name string, v *vaultRun) {
	signed, err := s3.NewPresignClient(v.s3).PresignGetObject(v.ctx, &s3.GetObjectInput{Bucket: aws.String("canary"), Key: aws.String("0")})
	if err != nil {
		s.Fatal(err)
	}
	u, err := url.Parse(signed.URL)
	if err != nil {
		s.Fatal(err)
	}
	s.keep(name+"'s presigned signature", []byte(u.Query().Get("X-Amz-Signature")))
	r, err := http.NewRequestWithContext(context.Background(), "GET", signed.URL, nil)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := s.p.client().http.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != 403 {
		s.Errorf("presigned by %s: %d %s %v", name, resp.StatusCode, b, err)
	}
	s.look("an answer to what was presigned", b)
}
