#!/usr/bin/env bash
# restic: restic.sh READY-FILE. Backups made through one endpoint are checked and
# restored through all.
. "$(dirname "$0")/lib.sh"
export RESTIC_PASSWORD=correct-horse RESTIC_CACHE_DIR=$work/cache RESTIC_PROGRESS_FPS=0.01
at() { RESTIC_REPOSITORY=s3:$1/$bucket restic --quiet "${@:2}"; } # ENDPOINT ARGUMENTS...
here=${endpoints[0]}
last_steps() { aws --endpoint-url "$here" s3 rb --force "s3://$bucket" >/dev/null 2>&1 || true; }

step "a first backup"
tree "$work/tree"
content "$work/tree/large" $((megabytes << 20))
at "$here" init
cd "$work"
at "$here" backup tree
cp -r tree first

step "a second one, of what has changed"
rm tree/a/4k
content tree/small 4000
at "$here" backup tree
for e in "${endpoints[@]}"; do
  at "$e" check --read-data --no-cache
  [ "$(at "$e" snapshots --json | grep -o '"short_id"' | wc -l)" = 2 ] || fail "$e does not show two snapshots"
  rm -rf restored
  at "$e" restore latest --target restored
  diff -r tree restored/tree
done

step "what the first one held is gone once it is forgotten"
first=$(at "$here" snapshots --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["short_id"])')
rm -rf restored
at "${endpoints[-1]}" restore "$first" --target restored
diff -r first restored/tree
at "$here" forget --keep-last 1 --prune
at "${endpoints[-1]}" check --read-data --no-cache
refused at "$here" restore "$first" --target restored 2>/dev/null
