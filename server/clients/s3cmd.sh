#!/usr/bin/env bash
# s3cmd: s3cmd.sh READY-FILE v2|v4, the version of its signatures.
. "$(dirname "$0")/lib.sh"
for e in "${endpoints[@]}"; do
  host=${e#http://}
  cat >"$work/${host//:/-}" <<END
[default]
access_key = $AWS_ACCESS_KEY_ID
secret_key = $AWS_SECRET_ACCESS_KEY
bucket_location = us-east-1
host_base = $host
host_bucket = $host
use_https = False
signature_v2 = $([ "${2:-v4}" = v2 ] && echo True || echo False)
multipart_chunk_size_mb = 5
progress_meter = False
END
done
at() { # ENDPOINT ARGUMENTS...
  local host=${1#http://}
  s3cmd --config "$work/${host//:/-}" "${@:2}"
}
here=${endpoints[0]}

step "a bucket, a small object, and one in parts"
at "$here" mb "s3://$bucket"
content "$work/small" 5000
content "$work/large" $((megabytes << 20))
at "$here" put "$work/small" "$work/large" "s3://$bucket/" >/dev/null
for e in "${endpoints[@]}"; do
  at "$e" ls | says "s3://$bucket$" || fail "$e does not list the bucket"
  for f in small large; do
    at "$e" ls "s3://$bucket/" | says " $(stat -c %s "$work/$f") *s3://$bucket/$f$" || fail "$e does not list $f"
    at "$e" get --force "s3://$bucket/$f" "$work/back" >/dev/null
    cmp "$work/$f" "$work/back"
  done
done

step "a tree"
tree "$work/tree"
at "$here" sync "$work/tree/" "s3://$bucket/tree/" >/dev/null
for e in "${endpoints[@]}"; do
  again=$(at "$e" sync "$work/tree/" "s3://$bucket/tree/" | grep '^upload:' || true)
  [ -z "$again" ] || fail "a second sync copies: $again"
  rm -rf "$work/copy"
  mkdir "$work/copy"
  at "$e" sync "s3://$bucket/tree/" "$work/copy/" >/dev/null
  diff -r "$work/tree" "$work/copy"
done
rm "$work/tree/a/4k"
at "$here" sync --delete-removed "$work/tree/" "s3://$bucket/tree/" >/dev/null
nothing at "${endpoints[-1]}" ls "s3://$bucket/tree/a/4k"

step "copies, and who may read"
at "$here" cp "s3://$bucket/small" "s3://$bucket/copied" >/dev/null
at "$here" mv "s3://$bucket/copied" "s3://$bucket/moved" >/dev/null
for e in "${endpoints[@]}"; do
  at "$here" setacl --acl-private "s3://$bucket/moved" >/dev/null
  refused curl -sSf -o /dev/null "$e/$bucket/moved" 2>/dev/null
  at "$here" setacl --acl-public "s3://$bucket/moved" >/dev/null
  curl -sSf -o "$work/back" "$e/$bucket/moved"
  cmp "$work/small" "$work/back"
done

step "removal"
at "$here" del "s3://$bucket/small" >/dev/null
at "$here" del --recursive --force "s3://$bucket" >/dev/null
nothing at "${endpoints[-1]}" ls --recursive "s3://$bucket"
at "${endpoints[-1]}" rb "s3://$bucket"
