# shellcheck shell=bash
# What every client script begins with: `. lib.sh READY-FILE`. Afterwards there are
#   endpoints  where the cluster serves; what is written through one is read through all
#   work       a directory that goes at the end
#   bucket     a name that nobody else has
# and the keys and nothing else of the caller's configuration are in the environment.
set -euo pipefail

ready=${1:?the ready file of a cluster}
field() { python3 -c 'import json, sys; v = json.load(open(sys.argv[1]))[sys.argv[2]]; print("\n".join(v) if isinstance(v, list) else v)' "$ready" "$1"; }
mapfile -t endpoints < <(field endpoints)
[ ${#endpoints[@]} -gt 0 ] || { echo "no endpoints in $ready" >&2; exit 1; }

while read -r name; do unset "$name"; done < <(compgen -e | grep -iE '^(AWS_|RCLONE_|RESTIC_|BOTO_|S3CMD_|NODE_OPTIONS|(http|https|all)_proxy)' || true)
AWS_ACCESS_KEY_ID=$(field access_key)
AWS_SECRET_ACCESS_KEY=$(field secret_key)
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_PAGER=

umask 077
work=$(mktemp -d "${TMPDIR:-/tmp}/ironman-client.XXXXXX")
export HOME=$work/home XDG_CACHE_HOME=$work/cache
mkdir "$HOME"
last_steps() { :; } # a script may have its own
trap 'last_steps; rm -rf "$work"' EXIT
# shellcheck disable=SC2034 # used by the scripts
bucket=clients-$(basename "${0%.*}")-$$-$RANDOM

# megabytes is the size of large objects: they go in parts.
# shellcheck disable=SC2034 # used by the scripts
megabytes=$([ "${CLIENTS_LARGE:-}" = 1 ] && echo 300 || echo 40)

content() { head -c "$2" /dev/urandom >"$1"; } # FILE BYTES

# tree makes a directory of files with sizes and names of all kinds.
tree() {
  mkdir -p "$1/a/deep/er" "$1/b c"
  content "$1/empty" 0
  content "$1/small" 1
  content "$1/a/4k" 4096
  content "$1/a/deep/er/100k" 102400
  content "$1/a/deep/er/3m" 3145728
  content "$1/b c/with space + plus & 100% ~tilde" 5000
  content "$1/b c/grüße-日本語-🙂" 6000
  content "$1/b c/quote'\"s=(1),2;3@4" 7000
  for i in $(seq 1 25); do content "$1/a/deep/n$i" $((i * 997)); done
  # Stores keep whole seconds: a file of the second in which it is stored looks newer.
  find "$1" -exec touch -d 2024-02-29T12:00:00Z {} +
}

# says tells whether the input has a line that matches, and reads it to its end: the
# program before it is not to fail for a broken pipe.
says() { grep "$@" >/dev/null; }

step() { echo "--- $*"; }
fail() { echo "FAILED: $*"; exit 1; } # not on standard error, which a caller may have closed
# refused runs a command that must fail, nothing one that must succeed and print nothing.
refused() { if "$@"; then fail "this was to be refused: $*"; fi; }
nothing() {
  local printed
  printed=$("$@")
  [ -z "$printed" ] || fail "this was to print nothing: $*: $printed"
}
