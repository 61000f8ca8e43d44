package s3api_test

import "strings"

// calls are all rows of IAM and STS.
func calls() []call {
	return append(append(append(sessionCalls(), accountCalls()...), principalCalls()...), policyCalls()...)
}

// session calls: what takes no right of IAM is what Amazon says takes none.
func sessionCalls() []call {
	return []call{
		{action: "sts:GetCallerIdentity", on: "*", want: "200", free: true, strange: "200"},
		{action: "sts:GetSessionToken", on: "*", want: "200", free: true, strange: "200"},
		{action: "sts:AssumeRole", on: "role/target", parameters: "RoleArn=ROLE RoleSessionName=job", want: "200", free: true, strange: "403 AccessDenied"},
		{
			action: "sts:AssumeRole", on: "role/target", parameters: "RoleArn=ROLE RoleSessionName=job Tags.member.1.Key=a Tags.member.1.Value=b",
			want: "200", free: true, strange: "403 AccessDenied", also: []string{"sts:TagSession"},
		},
		{action: "sts:AssumeRoleWithWebIdentity", on: "role/target", parameters: "RoleArn=ROLE RoleSessionName=job WebIdentityToken=good", want: "200", anyone: true},
		{action: "sts:AssumeRoleWithWebIdentity", on: "role/target", parameters: "RoleArn=ROLE RoleSessionName=job WebIdentityToken=forged", want: "400 InvalidIdentityToken", anyone: true},
		{action: "sts:AssumeRoleWithWebIdentity", on: "role/tagged0", parameters: "RoleArn=arn:aws:iam::ACCOUNT:role/tagged0 RoleSessionName=job WebIdentityToken=good Tags.member.1.Key=team Tags.member.1.Value=a TransitiveTagKeys.member.1=team ExternalId=secret", want: "403 AccessDenied", anyone: true},
		{action: "sts:AssumeRoleWithWebIdentity", on: "role/tagged1", parameters: "RoleArn=arn:aws:iam::ACCOUNT:role/tagged1 RoleSessionName=job WebIdentityToken=good Tags.member.1.Key=team Tags.member.1.Value=a TransitiveTagKeys.member.1=team ExternalId=secret", want: "403 AccessDenied", anyone: true},
		{action: "sts:AssumeRoleWithWebIdentity", on: "role/tagged2", parameters: "RoleArn=arn:aws:iam::ACCOUNT:role/tagged2 RoleSessionName=job WebIdentityToken=good Tags.member.1.Key=team Tags.member.1.Value=a TransitiveTagKeys.member.1=team ExternalId=secret", want: "403 AccessDenied", anyone: true},
		{action: "sts:AssumeRoleWithWebIdentity", on: "role/none", parameters: "RoleArn=arn:aws:iam::ACCOUNT:role/none RoleSessionName=job WebIdentityToken=good", want: "403 AccessDenied", anyone: true},
		{action: "sts:GetFederationToken", on: "federated-user/fed", parameters: "Name=fed", want: "200", strange: "200"},
		{
			action: "sts:GetFederationToken", on: "federated-user/fed", parameters: "Name=fed Tags.member.1.Key=a Tags.member.1.Value=b",
			want: "200", strange: "200", also: []string{"sts:TagSession"},
		},
	}
}

// accountCalls are about the account as a whole.
func accountCalls() []call {
	var out []call
	for _, name := range []string{
		"GetAccountAuthorizationDetails", "GetAccountSummary", "ListAccountAliases", "ListGroups", "ListOpenIDConnectProviders", "ListPolicies", "ListRoles", "ListUsers",
	} {
		out = append(out, call{action: "iam:" + name, on: "*", want: "200", strange: "200"})
	}
	return append(out,
		call{action: "iam:GetContextKeysForCustomPolicy", on: "*", parameters: "PolicyInputList.member.1=GRANT", want: "200", strange: "200"},
		call{action: "iam:GetContextKeysForPrincipalPolicy", on: "user/subject", parameters: "PolicySourceArn=arn:aws:iam::ACCOUNT:user/subject", want: "200"},
		call{action: "iam:SimulateCustomPolicy", on: "*", parameters: "PolicyInputList.member.1=GRANT ActionNames.member.1=s3:GetObject", want: "200", strange: "200"},
		call{action: "iam:SimulatePrincipalPolicy", on: "user/subject", parameters: "PolicySourceArn=arn:aws:iam::ACCOUNT:user/subject ActionNames.member.1=s3:GetObject", want: "200"},
		call{action: "iam:GetAccessKeyLastUsed", on: "user/subject", parameters: "AccessKeyId=KEY", want: "200", strange: "403 AccessDenied"},
	)
}

// principalCalls are about users, groups and roles.
func principalCalls() []call {
	tags := " Tags.member.1.Key=a Tags.member.1.Value=b"
	var out []call
	add := func(action, on, parameters, want string) {
		out = append(out, call{action: "iam:" + action, on: on, parameters: parameters, want: want})
	}
	for _, k := range []struct{ kind, noun, name string }{{"User", "user", "subject"}, {"Group", "group", "crew"}, {"Role", "role", "target"}} {
		on, of := k.noun+"/"+k.name, k.kind+"Name="+k.name
		add("Get"+k.kind, on, of, "200")
		add("Delete"+k.kind, on, of, "event")
		add("Put"+k.kind+"Policy", on, of+" PolicyName=p PolicyDocument=GRANT", "event")
		add("Get"+k.kind+"Policy", on, of+" PolicyName=inline", "200")
		add("Delete"+k.kind+"Policy", on, of+" PolicyName=inline", "event")
		add("List"+k.kind+"Policies", on, of, "200")
		add("Attach"+k.kind+"Policy", on, of+" PolicyArn=LOOSE", "event")
		add("Detach"+k.kind+"Policy", on, of+" PolicyArn=POLICY", "event")
		add("ListAttached"+k.kind+"Policies", on, of, "200")
		if k.kind == "Group" {
			continue
		}
		add("Put"+k.kind+"PermissionsBoundary", on, of+" PermissionsBoundary=LOOSE", "event")
		add("Delete"+k.kind+"PermissionsBoundary", on, of, "404 NoSuchEntity")
		add("Tag"+k.kind, on, of+tags, "event")
		add("Untag"+k.kind, on, of+" TagKeys.member.1=a", "event")
		add("List"+k.kind+"Tags", on, of, "200")
	}
	add("UpdateUser", "user/subject user/x", "UserName=subject NewUserName=x", "event") // of both names
	add("UpdateGroup", "group/crew group/x", "GroupName=crew NewGroupName=x", "event")
	add("UpdateRole", "role/target", "RoleName=target Description=x", "event")
	add("UpdateRoleDescription", "role/target", "RoleName=target Description=x", "event")
	add("UpdateAssumeRolePolicy", "role/target", "RoleName=target PolicyDocument=TRUST", "event")
	add("ListGroupsForUser", "user/subject", "UserName=subject", "200")
	add("ListInstanceProfilesForRole", "role/target", "RoleName=target", "200")
	add("ListMFADevices", "user/subject", "UserName=subject", "200")
	add("AddUserToGroup", "group/other", "GroupName=other UserName=subject", "event")
	add("RemoveUserFromGroup", "group/crew", "GroupName=crew UserName=subject", "event")
	add("CreateAccessKey", "user/subject", "UserName=subject", "event")
	add("ListAccessKeys", "user/subject", "UserName=subject", "200")
	add("UpdateAccessKey", "user/subject", "UserName=subject AccessKeyId=KEY Status=Inactive", "event")
	add("DeleteAccessKey", "user/subject", "UserName=subject AccessKeyId=KEY", "event")
	return append(append(out, providerCalls()...), creations()...)
}

// providerCalls are about a provider of identities.
func providerCalls() []call {
	var out []call
	for _, c := range []struct{ action, parameters, want string }{
		{"GetOpenIDConnectProvider", "", "200"}, {"ListOpenIDConnectProviderTags", "", "200"}, {"DeleteOpenIDConnectProvider", "", "event"},
		{"AddClientIDToOpenIDConnectProvider", " ClientID=another", "event"}, {"RemoveClientIDFromOpenIDConnectProvider", " ClientID=app", "event"},
		{"UpdateOpenIDConnectProviderThumbprint", " ThumbprintList.member.1=" + strings.Repeat("0", 40), "event"},
		{"TagOpenIDConnectProvider", " Tags.member.1.Key=a Tags.member.1.Value=b", "event"}, {"UntagOpenIDConnectProvider", " TagKeys.member.1=a", "event"},
	} {
		out = append(out, call{
			action: "iam:" + c.action, on: "oidc-provider/idp.example/path", want: c.want,
			parameters: "OpenIDConnectProviderArn=arn:aws:iam::ACCOUNT:oidc-provider/idp.example/path" + c.parameters,
		})
	}
	return out
}

// creations make something, in the account of whoever asks. Tags take a right of their own.
func creations() []call {
	var out []call
	for _, c := range []struct{ kind, on, parameters, tagging string }{
		{"User", "user/new", "UserName=new", "iam:TagUser"}, {"Group", "group/new", "GroupName=new", ""},
		{"Role", "role/new", "RoleName=new AssumeRolePolicyDocument=TRUST", "iam:TagRole"}, {"Policy", "policy/new", "PolicyName=new PolicyDocument=GRANT", "iam:TagPolicy"},
		{"OpenIDConnectProvider", "oidc-provider/new.example", "Url=https://new.example ClientIDList.member.1=app", "iam:TagOpenIDConnectProvider"},
	} {
		plain := call{action: "iam:Create" + c.kind, on: c.on, parameters: c.parameters, want: "event", strange: "event"}
		out = append(out, plain)
		if c.tagging != "" {
			plain.parameters, plain.also = plain.parameters+" Tags.member.1.Key=a Tags.member.1.Value=b", []string{c.tagging}
			out = append(out, plain)
		}
	}
	return out
}

// policyCalls are about a managed policy.
func policyCalls() []call {
	var out []call
	for _, c := range []struct{ action, parameters, want string }{
		{"GetPolicy", "", "200"}, {"GetPolicyVersion", " VersionId=v1", "200"}, {"ListPolicyTags", "", "200"}, {"ListPolicyVersions", "", "200"}, {"ListEntitiesForPolicy", "", "200"},
		{"CreatePolicyVersion", " PolicyDocument=GRANT", "event"}, {"DeletePolicyVersion", " VersionId=v2", "event"}, {"SetDefaultPolicyVersion", " VersionId=v2", "event"},
		{"DeletePolicy", "", "event"}, {"TagPolicy", " Tags.member.1.Key=a Tags.member.1.Value=b", "event"}, {"UntagPolicy", " TagKeys.member.1=a", "event"},
	} {
		out = append(out, call{action: "iam:" + c.action, on: "policy/doc", parameters: "PolicyArn=POLICY" + c.parameters, want: c.want})
	}
	return out
}
