#!/usr/bin/env bash
# boto3: boto3.sh READY-FILE [PYTHON].
. "$(dirname "$0")/lib.sh"
# Debian's awscli brings awscrt, which takes over the signing of a boto3 that shares
# its Python: here boto3 is to sign itself.
export BOTO_DISABLE_CRT=true PYTHONDONTWRITEBYTECODE=1
for version in s3v4 s3; do
  step "signatures: $version"
  "${2:-python3}" "$(dirname "$0")/boto3_client.py" "$version" "$bucket-$version" "$megabytes" "${endpoints[@]}"
done
