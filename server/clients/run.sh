#!/usr/bin/env bash
# Runs real S3 clients against a cluster of real processes and shows a table:
#   run.sh [CLIENT...]      aws boto3 s3cmd rclone restic s3fs node; all if none is named
# NODES, DISKS and CLIENTS_PORT say what cluster; CLIENTS_READY is the ready file of
# one that runs already; with CLIENTS_LARGE=1 large objects have 300 MB, else 40.
# Every program and every Python that is found is run, for they differ by years.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../.." && pwd)/.build/clients
sdk=$build/node
mkdir -p "$build/log"

# found lists the different programs of a name in the path.
found() {
  type -aP "$1" | while read -r program; do
    echo "$(stat -L -c %d:%i "$program") $program"
  done | awk '!seen[$1]++ {print $2}'
}

passed=0 failed=0 skipped=0
row() { printf '%-12s %-14s %-8s %7s  %s\n' "$@"; }
# try runs one client: NAME VERSION SCRIPT ARGUMENTS...
try() {
  local log=$build/log/${1// /-}-$2 start=$EPOCHREALTIME code=0 result detail=
  timeout --kill-after=10 900 "$here/$3" "$ready" "${@:4}" >"$log" 2>&1 </dev/null &
  client=$! # in the background, for a signal to this script interrupts only wait
  wait "$client" || code=$?
  client=
  case $code in
    0) result=pass passed=$((passed + 1)) ;;
    77) if [ "$1" = s3fs ]; then result=skipped skipped=$((skipped + 1)) detail=$(tail -n 1 "$log"); else result=FAILED failed=$((failed + 1)); fi ;;
    *) result=FAILED failed=$((failed + 1)) detail="exit code $code; ${log#"$PWD/"} ends:" ;;
  esac
  row "$1" "$2" "$result" "$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f", b - a}')" "$detail"
  if [ $result = FAILED ]; then tail -n 15 "$log" | sed 's/^/    /'; fi
}
version() { grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1; }

client_aws() {
  while read -r p; do
    v=$("$p" --version 2>&1 | version)
    try aws "$v" aws.sh "$p"
    try "aws iam" "$v" aws-iam.sh "$p"
  done < <(found aws)
}
client_boto3() {
  while read -r p; do
    if v=$("$p" -c 'import boto3; print(boto3.__version__)' 2>/dev/null); then try boto3 "$v" boto3.sh "$p"; fi
  done < <(found python3)
}
client_s3cmd() { for v in v4 v2; do try "s3cmd $v" "$(s3cmd --version | version)" s3cmd.sh "$v"; done; }
client_rclone() { try rclone "$(rclone version | version)" rclone.sh; }
client_restic() { try restic "$(restic version | version)" restic.sh; }
client_s3fs() {
  local v=none
  if command -v s3fs >/dev/null; then v=$(s3fs --version | version); fi
  try s3fs "$v" s3fs.sh
}
client_node() { try node "$(node -p 'require(process.argv[1]).version' "$sdk/node_modules/@aws-sdk/client-s3/package.json")" node.sh "$sdk"; }

[ $# -gt 0 ] || set -- aws boto3 s3cmd rclone restic s3fs node
for name; do
  declare -F "client_$name" >/dev/null || { echo "there is no client $name" >&2; exit 1; }
done
"$here/install.sh" "$sdk"

umask 077 # the cluster's log has its keys
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ironman-clients.XXXXXX")
cluster='' client=''
finish() {
  status=$?
  trap - EXIT
  if [ -n "$client" ] && kill -TERM "$client" 2>/dev/null; then wait "$client" || true; fi
  if [ -n "$cluster" ]; then
    kill -TERM "$cluster" 2>/dev/null || true
    if ! wait "$cluster"; then
      echo "the cluster did not end cleanly:"
      tail -n 20 "$build/log/cluster"
      [ "$status" != 0 ] || status=1
    fi
  fi
  rm -rf "$scratch"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

ready=${CLIENTS_READY:-}
if [ -z "$ready" ]; then
  ready=$scratch/ready.json
  "$here/../../bin/ironman" cluster --nodes "${NODES:-1}" --disks "${DISKS:-6}" --dir "$scratch/cluster" --port "${CLIENTS_PORT:-9600}" \
    --ready-file "$ready" >"$build/log/cluster" 2>&1 &
  cluster=$!
  until [ -e "$ready" ]; do
    if ! kill -0 "$cluster" 2>/dev/null; then
      tail -n 20 "$build/log/cluster" >&2
      exit 1
    fi
    sleep 0.1
  done
fi

row client version result seconds ''
for name; do
  "client_$name"
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
