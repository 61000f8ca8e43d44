package policy

import "testing"

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
