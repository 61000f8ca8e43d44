package policy

import (
	"slices"
	"testing"
)

// TestValidKey: condition keys of vendors and of providers of identities.
func TestValidKey(t *testing.T) {
	for key, want := range map[string]bool{
		"aws:SourceIp": true, "s3:x-amz-acl": true, "aws:RequestTag/any thing: at all": true, "aws:PrincipalTag/a/b": true,
		"idp.example:sub": true, "idp.example:8443:aud": true, "idp.example/path:amr": true, "idp.example:8443/a/b/:sub": true,
		"tenant.auth0.com/:aud": true, "sts.windows.net/0-1/:sub": true, "idp.example/~user+x%20@y:sub": true, "host/path:sub": true,
		"": false, "aws": false, ":x": false, "aws:": false, "aws:/x": false, "a b:c": false, "a*:b": false, "aws:a b": false,
		"idp.example": false, "idp.example:": false, "idp.example:a b": false, "idp.example/*:sub": false, "idp.example/a b:sub": false, "idp.example:x/y": false,
		"idp.example/${aws:username}:sub": false,
	} {
		if got := ValidKey(key); got != want {
			t.Errorf("%q is a key: %v", key, got)
		}
	}
}

// TestKeys: what policies ask for, in conditions and by variables, once each. Texts of the
// older version have no variables, and escapes are none.
func TestKeys(t *testing.T) {
	const allow = `"Effect":"Allow","Action":"s3:*",`
	statement := statements(`{` + allow + `"Resource":["arn:aws:s3:::b/${aws:username}/${ s3:prefix , 'x'}","arn:aws:s3:::b/${*}"],` +
		`"Condition":{"StringNotLike":{"aws:PrincipalTag/Team A":["a$","{aws:none}","${AWS:UserID}$"]},"Null":{"s3:VersionId":"true"},"DateLessThan":{"aws:CurrentTime":"2030"}}}`)
	for _, tc := range []struct {
		texts []string
		want  []string
	}{
		{[]string{statement}, []string{"aws:CurrentTime", "aws:PrincipalTag/Team A", "AWS:UserID", "aws:username", "s3:prefix", "s3:VersionId"}},
		{[]string{`{"Statement":{` + allow + `"Resource":"arn:aws:s3:::b/${aws:username}","Condition":{"StringLike":{"aws:UserAgent":"${aws:userid}"}}}}`}, []string{"aws:UserAgent"}},
		{[]string{
			statements(`{` + allow + `"NotResource":"arn:aws:s3:::b/${aws:username}"}`), statements(`{` + allow + `"Resource":"*","Condition":{"StringEquals":{"aws:UserName":"x"}}}`),
		}, []string{"aws:username"}},
		{[]string{statements(`{` + allow + `"Resource":"*"}`)}, nil},
	} {
		var policies []Named
		for _, text := range tc.texts {
			policies = append(policies, Named{Policy: parse(t, Identity, text)})
		}
		if got := Keys(policies); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.texts, got, tc.want)
		}
	}
}
