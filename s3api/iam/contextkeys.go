package iam

import "ironman/s3api/policy"

// contextKeys are the condition keys that policies ask for.
type contextKeys struct {
	ContextKeyNames []string `xml:"ContextKeyNames>member"`
}

// getContextKeysForCustomPolicy tells what the given policies ask for.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForCustomPolicy.html
func (c *call) getContextKeysForCustomPolicy() (any, error) {
	c.form.need("PolicyInputList.member.1")
	list := c.form.policies("PolicyInputList")
	return contextKeys{policy.Keys(list)}, c.form.err
}

// getContextKeysForPrincipalPolicy tells what a principal's policies ask for, those of its
// groups and the given among them, without what bounds it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForPrincipalPolicy.html
func (c *call) getContextKeysForPrincipalPolicy() (any, error) {
	a, err := c.ofSource()
	if err != nil {
		return nil, err
	}
	list := append(a.identity, c.form.policies("PolicyInputList")...)
	return contextKeys{policy.Keys(list)}, c.form.err
}
