#!/usr/bin/env bash
# The AWS command line: aws.sh READY-FILE [PROGRAM].
. "$(dirname "$0")/lib.sh"
aws=${2:-aws}
at() { "$aws" --endpoint-url "$1" "${@:2}"; } # ENDPOINT ARGUMENTS...
here=${endpoints[0]}

step "a bucket, and an object in parts"
at "$here" s3 mb "s3://$bucket"
content "$work/large" $((megabytes << 20))
at "$here" s3 cp --no-progress "$work/large" "s3://$bucket/large"
for e in "${endpoints[@]}"; do
  at "$e" s3 ls "s3://$bucket/" | says " $((megabytes << 20)) large$" || fail "large is not listed by $e"
  tag=$(at "$e" s3api head-object --bucket "$bucket" --key large --query ETag --output text)
  [[ $tag == *-* ]] || fail "the entity tag $tag is not that of parts"
  at "$e" s3 cp --no-progress "s3://$bucket/large" "$work/back"
  cmp "$work/large" "$work/back"
done

step "a tree"
tree "$work/tree"
at "$here" s3 sync --no-progress "$work/tree" "s3://$bucket/tree" >/dev/null
for e in "${endpoints[@]}"; do
  nothing at "$e" s3 sync --no-progress "$work/tree" "s3://$bucket/tree"
  rm -rf "$work/copy"
  at "$e" s3 sync --no-progress "s3://$bucket/tree" "$work/copy" >/dev/null
  diff -r "$work/tree" "$work/copy"
  listed=$(at "$e" s3api list-objects-v2 --bucket "$bucket" --prefix tree/ --page-size 7 --query 'Contents[].[Key]' --output text | sort -u | wc -l)
  [ "$listed" = "$(find "$work/tree" -type f | wc -l)" ] || fail "$listed objects are listed in pages"
done
at "$here" s3 mv --no-progress "s3://$bucket/tree/a/4k" "s3://$bucket/moved"
at "${endpoints[-1]}" s3 cp --no-progress "s3://$bucket/moved" "$work/back"
cmp "$work/tree/a/4k" "$work/back"

step "presigned addresses"
for e in "${endpoints[@]}"; do
  curl -sSf -o "$work/back" "$(at "$e" s3 presign "s3://$bucket/large" --expires-in 300)"
  cmp "$work/large" "$work/back"
  refused curl -sSf -o /dev/null "$e/$bucket/large" 2>/dev/null
done

step "conditions"
tag=$(at "$here" s3api head-object --bucket "$bucket" --key moved --query ETag --output text)
for e in "${endpoints[@]}"; do
  at "$e" s3api get-object --bucket "$bucket" --key moved --if-match "$tag" "$work/back" >/dev/null
  refused at "$e" s3api get-object --bucket "$bucket" --key moved --if-none-match "$tag" "$work/back" 2>/dev/null
done
if "$aws" s3api put-object --generate-cli-skeleton | says '"IfNoneMatch"'; then
  at "$here" s3api put-object --bucket "$bucket" --key lock --body "$work/tree/small" --if-none-match '*' >/dev/null
  for e in "${endpoints[@]}"; do
    refused at "$e" s3api put-object --bucket "$bucket" --key lock --body "$work/tree/a/4k" --if-none-match '*' 2>"$work/said"
    grep -q PreconditionFailed "$work/said" || fail "$(cat "$work/said")"
    at "$e" s3 cp --no-progress "s3://$bucket/lock" "$work/back"
    cmp "$work/tree/small" "$work/back"
  done
else
  echo "this version of the command has no conditional writes"
fi

step "removal"
at "$here" s3 rm "s3://$bucket/large"
refused at "${endpoints[-1]}" s3 rb "s3://$bucket" 2>/dev/null # it is not empty
at "$here" s3 rm --recursive "s3://$bucket" >/dev/null
for e in "${endpoints[@]}"; do
  left=$(at "$e" s3api list-objects-v2 --bucket "$bucket" --no-paginate --query KeyCount --output text)
  [ "$left" = 0 ] || fail "$e lists $left objects that were removed"
done
at "${endpoints[-1]}" s3 rb "s3://$bucket"
