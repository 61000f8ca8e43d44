package iam

import (
	"strings"

	"ironman/fsm"
)

// builtin is a managed policy that every cluster has, under Amazon's name.
type builtin struct {
	name, description, text string
}

func (b *builtin) arn() string { return fsm.BuiltinPolicy + b.name }

// builtins are those of Amazon's managed policies that speak of what is served here.
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
var builtins = [...]builtin{
	{"AdministratorAccess", "Provides full access to all actions and resources.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`},
	{"AmazonS3FullAccess", "Provides full access to all buckets.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`},
	{"AmazonS3ReadOnlyAccess", "Provides read only access to all buckets.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}`},
	{"IAMFullAccess", "Provides full access to users, groups, roles and policies.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}`},
	{"IAMReadOnlyAccess", "Provides read only access to users, groups, roles and policies.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"}]}`},
	{"ReadOnlyAccess", "Provides read only access to all that is served.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","s3:Get*","s3:List*"],"Resource":"*"}]}`},
}

// builtinByARN finds one; nil: there is none of that name.
func builtinByARN(arn string) *builtin {
	name, ok := strings.CutPrefix(arn, fsm.BuiltinPolicy)
	if !ok {
		return nil
	}
	for i := range builtins {
		if builtins[i].name == name {
			return &builtins[i]
		}
	}
	return nil
}

func (c *call) builtinXML(b *builtin) *policyXML {
	return &policyXML{
		PolicyName: b.name, PolicyID: b.arn()[strings.LastIndexByte(b.arn(), '/')+1:], Arn: b.arn(), Path: "/",
		DefaultVersionID: versionID(1), IsAttachable: true, Description: b.description, CreateDate: dateOf(0), UpdateDate: dateOf(0),
	}
}
