package policy

import (
	"errors"
	"strings"
	"testing"
)

// statements puts statements into a policy of the current version.
func statements(s ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(s, ",") + `]}`
}

const plain = `"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`

func TestParseBucket(t *testing.T) {
	for name, text := range map[string]string{
		"plain":              statements(`{` + plain + `}`),
		"one statement":      `{"Version":"2008-10-17","Id":"x","Statement":{` + plain + `}}`,
		"no version":         `{"Statement":[{` + plain + `}]}`,
		"sid with spaces":    statements(`{"Sid":"Allow Public Access to All Objects",` + plain + `}`),
		"principals":         statements(`{"Effect":"Deny","NotPrincipal":{"AWS":["111122223333","arn:aws:iam::111122223333:user/a/b","arn:aws:sts::111122223333:assumed-role/r/s"],"CanonicalUser":"` + strings.Repeat("a", 64) + `","Service":"logging.s3.amazonaws.com"},"NotAction":"s3:*","NotResource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}`),
		"one of two applies": statements(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:ListBucket","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}`),
		"wildcards":          statements(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["s3:Get*","S3:PUTOBJECT","*"],"Resource":"arn:aws:s3:::*"}`),
		"conditions":         statements(`{` + plain + `,"Condition":{"NumericLessThan":{"s3:max-keys":10},"Bool":{"aws:SecureTransport":true},"StringLike":{"s3:ExistingObjectTag/a b":["x","y"],"aws:Anything":"z"}}}`),
		"variables":          statements(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username, 'all'}/*"}`),
		"no variables then":  `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${"}}`,
	} {
		p, err := Parse([]byte(text), Bucket)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := p.CheckBucket("b"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseBucketErrors(t *testing.T) {
	edit := func(from, to string) string { return statements(`{` + strings.Replace(plain, from, to, 1) + `}`) }
	for _, tc := range []struct{ text, message string }{
		{"", "Policies must be valid JSON and the first byte must be '{'"},
		{" " + statements(`{`+plain+`}`), "Policies must be valid JSON and the first byte must be '{'"},
		{"[]", "Policies must be valid JSON and the first byte must be '{'"},
		{"{", "This policy contains invalid Json"},
		{"{}x", "This policy contains invalid Json"},
		{"{\"Id\":\"\xff\"}", "This policy contains invalid Json"},
		{`{"Id":null}`, "This policy contains invalid Json"},
		{`{"Id":"a","Id":"b"}`, "This policy contains invalid Json"},
		{`{"Id":"a","\u0049d":"b"}`, "This policy contains invalid Json"},
		{`{"Statement":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`, "This policy contains invalid Json"},
		{"{}", "Missing required field Statement"},
		{`{"Version":"2012-10-18","Statement":[]}`, "The policy must contain a valid version string"},
		{`{"Version":20121017,"Statement":[]}`, "The policy must contain a valid version string"},
		{statements(), "Could not parse the policy: Statement is empty!"},
		{`{"Statement":"x"}`, "Invalid policy syntax."},
		{`{"Statement":[{` + plain + `}],"Sids":1}`, "Unknown field Sids"},
		{edit(`"Effect"`, `"effect"`), "Unknown field effect"},
		{edit(`"Effect":"Allow",`, ``), "Missing required field Effect"},
		{edit(`Allow`, `allow`), "Invalid effect : allow"},
		{edit(`"Principal":"*",`, ``), "Missing required field Principal"},
		{edit(`"Action":"s3:GetObject",`, ``), "Missing required field Action"},
		{edit(`,"Resource":"arn:aws:s3:::b/*"`, ``), "Missing required field Resource"},
		{edit(`"*"`, `"x"`), "Invalid principal in policy"},
		{edit(`"*"`, `{}`), "Invalid principal in policy"},
		{edit(`"*"`, `{"AWS":[]}`), "Invalid principal in policy"},
		{edit(`"*"`, `{"AWS":"11112222333"}`), "Invalid principal in policy"},
		{edit(`"*"`, `{"AWS":"arn:aws:iam::111122223333:user/*"}`), "Invalid principal in policy"},
		{edit(`"*"`, `{"AWS":"arn:aws:iam::111122223333:group/g"}`), "Invalid principal in policy"},
		{edit(`"*"`, `{"CanonicalUser":"x"}`), "Invalid principal in policy"},
		{edit(`"*"`, `{"Someone":"x"}`), "Invalid principal in policy"},
		{edit(`"Principal"`, `"NotPrincipal"`), "Allow with NotPrincipal is not allowed."},
		{edit(`s3:GetObject`, `s3:GetObjects`), "Policy has invalid action"},
		{edit(`s3:GetObject`, `GetObject`), "Policy has invalid action"},
		{edit(`s3:GetObject`, `iam:GetUser`), "Policy has invalid action"},
		{edit(`s3:GetObject`, `s3:Zzz*`), "Policy has invalid action"},
		{edit(`"s3:GetObject"`, `[]`), "Policy has invalid action"},
		{edit(`"s3:GetObject"`, `["s3:GetObject",1]`), "Policy has invalid action"},
		{edit(`arn:aws:s3:::b/*`, `b/*`), "Policy has invalid resource"},
		{edit(`arn:aws:s3:::b/*`, `arn:aws:s3:b/*`), "Policy has invalid resource"},
		{edit(`arn:aws:s3:::b/*`, `arn:aws:s3:::`), "Policy has invalid resource"},
		{edit(`arn:aws:s3:::b/*`, `arn:aws:sqs:::b/*`), "Policy has invalid resource"},
		{edit(`arn:aws:s3:::b/*`, `arn:aws:s3::111122223333:b/*`), "Policy has invalid resource"},
		{edit(`arn:aws:s3:::b/*`, `arn:aws:s3:::b/${aws:username`), "Policy has invalid resource"},
		{edit(`s3:GetObject`, `s3:ListBucket`), "Action does not apply to any resource(s) in statement"},
		{edit(`s3:GetObject`, `s3:ListAllMyBuckets`), "Action does not apply to any resource(s) in statement"},
		{statements(`{` + plain + `,"Condition":[]}`), "Invalid policy syntax."},
		{statements(`{` + plain + `,"Condition":{"StringEquals":{"aws:x":{}}}}`), "Invalid policy syntax."},
		{statements(`{` + plain + `,"Condition":{"StringEquals":{"aws:x":[]}}}`), "Invalid policy syntax."},
		{statements(`{` + plain + `,"Condition":{"StringEqualss":{"aws:x":"y"}}}`), "Invalid Condition type : StringEqualss"},
		{statements(`{` + plain + `,"Condition":{"StringEquals":{"s3:nothing":"y"}}}`), "Policy has an invalid condition key"},
		{statements(`{` + plain + `,"Condition":{"StringEquals":{"s3:ExistingObjectTag/":"y"}}}`), "Policy has an invalid condition key"},
		{statements(`{` + plain + `,"Condition":{"StringEquals":{"userid":"y"}}}`), "Policy has an invalid condition key"},
		{statements(`{` + plain + `,"Condition":{"IpAddress":{"aws:SourceIp":"y"}}}`), "Policy has an invalid condition value"},
		{`{"Id":"` + strings.Repeat("x", MaxBucket) + `"}`, "Policy exceeds the maximum allowed document size."},
	} {
		_, err := Parse([]byte(tc.text), Bucket)
		var e *Error
		if !errors.As(err, &e) || e.Message != tc.message || e.Code != "MalformedPolicy" {
			t.Errorf("%.300s: %v, want %s", tc.text, err, tc.message)
		}
	}
}

func TestCheckBucket(t *testing.T) {
	for resource, want := range map[string]bool{
		"arn:aws:s3:::b/*": true, "arn:aws:s3:::*": true, "arn:aws:s3:::*/*": true, "*": true, "arn:aws:s3:::b*": true, "arn:aws:s3:::?/x": true,
		"arn:aws:s3:::b*x": true, "arn:aws:s3:::b/x": true, "arn:aws:s3:::${aws:username}/x": true,
		"arn:aws:s3:::bb/*": false, "arn:aws:s3:::c/*": false, "arn:aws:s3:::B/*": false, "arn:aws:s3:::/b/*": false, "arn:aws:s3:::?b/*": false, "arn:aws:s3:::a*/b/*": false,
	} {
		p, err := Parse([]byte(statements(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"`+resource+`"}`)), Bucket)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.CheckBucket("b") == nil; got != want {
			t.Errorf("%s: %v", resource, got)
		}
	}
}

func TestParseOthers(t *testing.T) {
	const identity = `"Effect":"Allow","Action":"s3:Anything","Resource":"*"`
	const trust = `"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"111122223333"}`
	for _, tc := range []struct {
		kind          Kind
		text, message string
	}{
		{Identity, statements(`{` + identity + `}`), ""},
		{Session, statements(`{"Sid":"A1",` + identity + `}`), ""},
		{Identity, statements(`{"Effect":"Allow","Action":["*","ec2:Run*","kms:?x"],"Resource":["arn:aws:ec2:*","arn:aws:iam::*:user/${aws:username}"],"Condition":{"StringEquals":{"ec2:Region":"x"}}}`), ""},
		{Trust, statements(`{` + trust + `}`), ""},
		{Trust, statements(`{"Effect":"Allow","Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],"Principal":{"Federated":"accounts.example.com"},"Condition":{"StringEquals":{"accounts.example.com:sub":"x"}}}`), ""},
		{Identity, statements(`{"Principal":"*",` + identity + `}`), "Policy document should not specify a principal."},
		{Session, statements(`{"NotPrincipal":"*",` + identity + `}`), "Policy document should not specify a principal."},
		{Identity, statements(`{"Effect":"Allow","Action":"s3:x"}`), "Policy statement must contain resources."},
		{Identity, statements(`{"Effect":"Allow","Resource":"*"}`), "Policy statement must contain actions."},
		{Identity, statements(`{"Effect":"Allow","Action":"x","Resource":"*"}`), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{Identity, statements(`{"Effect":"Allow","Action":"s3:x","Resource":"b"}`), `Resource b must be in ARN format or "*".`},
		{Identity, statements(`{"Sid":"a",`+identity+`}`, `{"Sid":"a",`+identity+`}`), "Statement IDs (SID) in a single policy must be unique."},
		{Identity, statements(`{"Sid":"a b",` + identity + `}`), "Statement IDs (SID) should be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"},
		{Identity, `{`, "Syntax errors in policy."},
		{Trust, statements(`{"Resource":"*",` + trust + `}`), "Has prohibited field Resource"},
		{Trust, statements(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), "Missing required field Principal"},
		{Trust, statements(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}`), "AssumeRole policy may only specify STS AssumeRole actions."},
		{Trust, statements(`{"Effect":"Allow","Principal":"*","Action":"sts:GetCallerIdentity"}`), "AssumeRole policy may only specify STS AssumeRole actions."},
		{Trust, statements(`{"Effect":"Allow","Principal":"*","Action":"*"}`), "AssumeRole policy may only specify STS AssumeRole actions."},
	} {
		_, err := Parse([]byte(tc.text), tc.kind)
		var e *Error
		if tc.message == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.text, err)
			}
		} else if !errors.As(err, &e) || e.Message != tc.message || e.Code != "MalformedPolicyDocument" {
			t.Errorf("%s: %v, want %s", tc.text, err, tc.message)
		}
	}
	if n := Size([]byte("{ \"a\":\n\t\"é\" }")); n != 9 {
		t.Errorf("a size of %d", n)
	}
}

func TestActions(t *testing.T) {
	for i, a := range actions {
		if i > 0 && actions[i-1].name >= a.name {
			t.Errorf("%s comes after %s", actions[i-1].name, a.name)
		}
		if !KnownAction(a.name) {
			t.Errorf("%s is not found", a.name)
		}
	}
	if KnownAction("s3:getobject") || !OnObject("s3:PutObject") || OnObject("s3:ListBucket") {
		t.Error("the table is wrong")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(statements(`{`+plain+`}`)), uint8(0))
	f.Add([]byte(statements(`{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"NotAction":"s3:*","NotResource":"arn:aws:s3:::b/${aws:username}"}`)), uint8(0))
	f.Add([]byte(statements(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"ForAllValues:StringLike":{"aws:x":["a*"]}}}`)), uint8(1))
	f.Add([]byte(statements(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"111122223333"}}`)), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, kind uint8) {
		p, err := Parse(text, Kind(kind%4))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Message == "" || !strings.HasPrefix(e.Code, "MalformedPolicy") {
				t.Errorf("%v", err)
			}
			return
		}
		p.Public()
		p.Accounts()
		_ = p.CheckBucket("b")
		Evaluate([]Named{{"p", p}}, &Request{Caller: Caller{Account: "111122223333"}, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Context: context("aws:x=y")})
	})
}
