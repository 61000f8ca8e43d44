#!/usr/bin/env bash
# Users, policies, roles and sessions by the AWS command line: aws-iam.sh READY-FILE [PROGRAM].
# What one node is told counts at once on all.
. "$(dirname "$0")/lib.sh"
aws=${2:-aws}
at() { "$aws" --endpoint-url "$1" "${@:2}"; } # ENDPOINT ARGUMENTS...
here=${endpoints[0]} there=${endpoints[-1]}

# as runs a command with other keys: "ID SECRET [TOKEN]" COMMAND...
as() (
  read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN <<<"$1"
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
  if [ -n "$AWS_SESSION_TOKEN" ]; then export AWS_SESSION_TOKEN; else unset AWS_SESSION_TOKEN; fi
  "${@:2}"
)
# denied runs a command that must be refused for the reason given: CODE COMMAND...
denied() {
  if "${@:2}" 2>"$work/said"; then fail "this was to be refused: ${*:2}"; fi
  grep -qF "($1)" "$work/said" || fail "not $1: ${*:2}: $(cat "$work/said")"
}
# is compares what a command prints: WANTED COMMAND...
is() {
  local printed
  printed=$("${@:2}" --output text)
  [ "$printed" = "$1" ] || fail "this was to print $1, not $printed: ${*:2}"
}
# json tells whether a command prints the same document as a file: FILE COMMAND...
json() {
  "${@:2}" --output json >"$work/printed"
  python3 -c 'import json, sys; a, b = (json.load(open(f)) for f in sys.argv[1:]); assert a == b, f"{a} is not {b}"' "$work/printed" "$1"
}

user=$bucket-user role=$bucket-role managed=$bucket-managed
account=$(at "$here" sts get-caller-identity --query Account --output text)
[[ $account =~ ^[0-9]{12}$ ]] || fail "the account is $account"
arn=arn:aws:iam::$account
statement() { echo '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '"$1"'}]}'; }
statement '"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::'"$bucket"'"' >"$work/list.json"
statement '"Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::'"$bucket"'/*"' >"$work/objects.json"
statement '"Action": "s3:GetObject", "Resource": "arn:aws:s3:::'"$bucket"'/*"' >"$work/read.json"
statement '"Action": "s3:*", "Resource": "*"' >"$work/all.json"
statement '"Action": "sts:AssumeRole", "Principal": {"AWS": "'"$arn:user/team/$user"'"}' >"$work/trust.json"

step "a user, and its key"
at "$here" s3 mb "s3://$bucket"
content "$work/file" 5000
at "$here" s3 cp --no-progress "$work/file" "s3://$bucket/file"
is "$arn:root" at "$here" sts get-caller-identity --query Arn
is "$arn:user/team/$user" at "$here" iam create-user --user-name "$user" --path /team/ --tags Key=color,Value=blue --query User.Arn
denied EntityAlreadyExists at "$there" iam create-user --user-name "$user"
is "$user" at "$there" iam list-users --path-prefix /team/ --query "Users[?UserName=='$user'].UserName"
is blue at "$there" iam list-user-tags --user-name "$user" --query 'Tags[0].Value'
key=$(at "$there" iam create-access-key --user-name "$user" --query 'AccessKey.[AccessKeyId, SecretAccessKey]' --output text)
id=${key%%[[:space:]]*}
for e in "${endpoints[@]}"; do
  is "$arn:user/team/$user" as "$key" at "$e" sts get-caller-identity --query Arn
  is Active at "$e" iam list-access-keys --user-name "$user" --query "AccessKeyMetadata[?AccessKeyId=='$id'].Status"
  denied AccessDenied as "$key" at "$e" s3api list-objects-v2 --bucket "$bucket"
  denied AccessDenied as "$key" at "$e" iam get-user
done

step "a policy of the user's own"
at "$here" iam put-user-policy --user-name "$user" --policy-name list --policy-document "file://$work/list.json"
for e in "${endpoints[@]}"; do
  is list at "$e" iam list-user-policies --user-name "$user" --query 'PolicyNames[0]'
  json "$work/list.json" at "$e" iam get-user-policy --user-name "$user" --policy-name list --query PolicyDocument
  as "$key" at "$e" s3 ls "s3://$bucket/" | says ' 5000 file$'
  denied 403 as "$key" at "$e" s3 cp --no-progress "s3://$bucket/file" "$work/back"
done

step "a managed policy"
policy=$(at "$here" iam create-policy --policy-name "$managed" --policy-document "file://$work/objects.json" --description "objects" --query Policy.Arn --output text)
[ "$policy" = "$arn:policy/$managed" ] || fail "the policy is $policy"
at "$there" iam attach-user-policy --user-name "$user" --policy-arn "$policy"
is "$policy" at "$here" iam list-attached-user-policies --user-name "$user" --query 'AttachedPolicies[].PolicyArn'
is "$user" at "$here" iam list-entities-for-policy --policy-arn "$policy" --query 'PolicyUsers[].UserName'
is 1 at "$there" iam list-policies --scope Local --query "Policies[?Arn=='$policy'].AttachmentCount"
is v1 at "$there" iam get-policy --policy-arn "$policy" --query Policy.DefaultVersionId
json "$work/objects.json" at "$there" iam get-policy-version --policy-arn "$policy" --version-id v1 --query PolicyVersion.Document
for e in "${endpoints[@]}"; do
  as "$key" at "$e" s3 cp --no-progress "s3://$bucket/file" "$work/back"
  cmp "$work/file" "$work/back"
  as "$key" at "$e" s3 cp --no-progress "$work/file" "s3://$bucket/written"
  denied AccessDenied as "$key" at "$e" s3api delete-object --bucket "$bucket" --key written
done
at "$here" iam create-policy-version --policy-arn "$policy" --policy-document "file://$work/read.json" --set-as-default >/dev/null
denied AccessDenied as "$key" at "$there" s3api put-object --bucket "$bucket" --key written --body "$work/file"
at "$there" iam set-default-policy-version --policy-arn "$policy" --version-id v1
as "$key" at "$here" s3 cp --no-progress "$work/file" "s3://$bucket/written"
is 'v1' at "$here" iam list-policy-versions --policy-arn "$policy" --query 'Versions[?IsDefaultVersion].VersionId'
denied DeleteConflict at "$there" iam delete-policy-version --policy-arn "$policy" --version-id v1

step "a role, and its session"
is "$arn:role/$role" at "$here" iam create-role --role-name "$role" --assume-role-policy-document "file://$work/trust.json" --max-session-duration 7200 --query Role.Arn
is "$role" at "$there" iam list-roles --query "Roles[?RoleName=='$role'].RoleName"
json "$work/trust.json" at "$there" iam get-role --role-name "$role" --query Role.AssumeRolePolicyDocument
at "$there" iam put-role-policy --role-name "$role" --policy-name all --policy-document "file://$work/all.json"
is all at "$here" iam list-role-policies --role-name "$role" --query 'PolicyNames[]'
json "$work/all.json" at "$here" iam get-role-policy --role-name "$role" --policy-name all --query PolicyDocument
at "$here" iam attach-role-policy --role-name "$role" --policy-arn arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess
is AmazonS3ReadOnlyAccess at "$there" iam list-attached-role-policies --role-name "$role" --query 'AttachedPolicies[].PolicyName'
assume() { as "$key" at "$1" sts assume-role --role-arn "$arn:role/$role" --role-session-name work --query 'Credentials.[AccessKeyId, SecretAccessKey, SessionToken]' --output text "${@:2}"; }
denied AccessDenied at "$here" sts assume-role --role-arn "$arn:role/$role" --role-session-name work # root is not trusted
denied ValidationError assume "$here" --duration-seconds 7201
session=$(assume "$here" --duration-seconds 900)
less=$(assume "$there" --policy "file://$work/list.json")
for e in "${endpoints[@]}"; do
  is "arn:aws:sts::$account:assumed-role/$role/work" as "$session" at "$e" sts get-caller-identity --query Arn
  as "$session" at "$e" s3 cp --no-progress "$work/file" "s3://$bucket/of the session"
  as "$session" at "$e" s3 rm "s3://$bucket/of the session"
  as "$less" at "$e" s3 ls "s3://$bucket/" | says ' file$'
  denied AccessDenied as "$less" at "$e" s3api delete-object --bucket "$bucket" --key file
  denied InvalidToken as "${session}x" at "$e" s3api list-objects-v2 --bucket "$bucket"
  denied InvalidAccessKeyId as "${session%[[:space:]]*}" at "$e" s3api list-objects-v2 --bucket "$bucket"
done
curl -sSf -o "$work/back" "$(as "$session" at "$here" s3 presign "s3://$bucket/file" --expires-in 300)"
cmp "$work/file" "$work/back"

step "a profile that takes the role"
# Before releases 1.29 and 2.13 it asks Amazon, whatever the endpoint.
if "$aws" --version 2>&1 | awk -F'[/. ]' '{exit !($2 > 2 || $2 == 2 && $3 >= 13 || $2 == 1 && $3 >= 29)}'; then
  cat >"$work/config" <<EOF
[profile worker]
role_arn = $arn:role/$role
role_session_name = profile
credential_source = Environment
EOF
  profile() { AWS_CONFIG_FILE=$work/config AWS_ENDPOINT_URL=$1 as "$key" "$aws" --profile worker "${@:2}"; }
  for e in "${endpoints[@]}"; do
    is "arn:aws:sts::$account:assumed-role/$role/profile" profile "$e" sts get-caller-identity --query Arn
    profile "$e" s3 rm "s3://$bucket/written"
  done
else
  echo "this version of the command takes roles of Amazon only"
fi

step "a key that is turned off, and what ends with it"
at "$here" iam update-access-key --user-name "$user" --access-key-id "$id" --status Inactive
for e in "${endpoints[@]}"; do
  denied InvalidAccessKeyId as "$key" at "$e" s3api list-objects-v2 --bucket "$bucket"
  denied InvalidClientTokenId as "$key" at "$e" sts get-caller-identity
done
at "$there" iam update-access-key --user-name "$user" --access-key-id "$id" --status Active
as "$key" at "$here" s3 ls "s3://$bucket/" >/dev/null

step "removal, in no order but the right one"
denied DeleteConflict at "$here" iam delete-role --role-name "$role"
at "$here" iam delete-role-policy --role-name "$role" --policy-name all
denied AccessDenied as "$session" at "$there" s3api put-object --bucket "$bucket" --key written --body "$work/file"
as "$session" at "$there" s3 ls "s3://$bucket/" >/dev/null
at "$there" iam detach-role-policy --role-name "$role" --policy-arn arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess
at "$there" iam delete-role --role-name "$role"
denied NoSuchEntity at "$here" iam get-role --role-name "$role"
denied AccessDenied assume "$here"
for e in "${endpoints[@]}"; do
  refused as "$session" at "$e" s3 ls "s3://$bucket/" 2>/dev/null
done

denied DeleteConflict at "$here" iam delete-user --user-name "$user"
denied DeleteConflict at "$here" iam delete-policy --policy-arn "$policy"
at "$here" iam detach-user-policy --user-name "$user" --policy-arn "$policy"
denied AccessDenied as "$key" at "$there" s3api get-object --bucket "$bucket" --key file "$work/back"
denied DeleteConflict at "$here" iam delete-policy --policy-arn "$policy" # a second version
at "$here" iam delete-policy-version --policy-arn "$policy" --version-id v2
at "$here" iam delete-policy --policy-arn "$policy"
denied NoSuchEntity at "$there" iam get-policy --policy-arn "$policy"
at "$here" iam delete-user-policy --user-name "$user" --policy-name list
denied NoSuchEntity at "$there" iam get-user-policy --user-name "$user" --policy-name list
denied DeleteConflict at "$here" iam delete-user --user-name "$user" # its key
at "$there" iam delete-access-key --user-name "$user" --access-key-id "$id"
denied InvalidAccessKeyId as "$key" at "$here" s3api list-objects-v2 --bucket "$bucket"
at "$there" iam delete-user --user-name "$user"
for e in "${endpoints[@]}"; do
  denied NoSuchEntity at "$e" iam get-user --user-name "$user"
done
at "$here" s3 rb --force "s3://$bucket" >/dev/null
