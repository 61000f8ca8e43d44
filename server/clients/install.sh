#!/usr/bin/env bash
# Installs the S3 clients that are not there yet: Debian's packages, and Node's SDK
# into the directory given. What is there already is left as it is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
sdk=${1:?the directory for the SDK of Node}

missing=()
need() { # PROGRAM PACKAGE...
  command -v "$1" >/dev/null || missing+=("${@:2}")
}
need curl curl
need python3 python3
need aws awscli
need s3cmd s3cmd
need rclone rclone
need restic restic
need node nodejs
need npm npm
if [ -e /dev/fuse ]; then need s3fs s3fs; fi
found=
while read -r python; do
  if "$python" -c 'import boto3' 2>/dev/null; then found=1; fi
done < <(type -aP python3)
[ -n "$found" ] || missing+=(python3-boto3)

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "these packages are missing: ${missing[*]}; install them, or run this as root on Debian" >&2
    exit 1
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! cmp -s "$here/package.json" "$sdk/installed.json"; then
  echo "installing Node's SDK"
  rm -rf "$sdk"
  mkdir -p "$sdk"
  cp "$here/package.json" "$sdk/"
  (cd "$sdk" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts)
  cp "$here/package.json" "$sdk/installed.json" # last: it says that the rest is there
fi
