#!/usr/bin/env bash
# rclone: rclone.sh READY-FILE. It is configured by the environment alone.
. "$(dirname "$0")/lib.sh"
: >"$work/rclone.conf"
export RCLONE_CONFIG=$work/rclone.conf RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=1 RCLONE_S3_CHUNK_SIZE=5M RCLONE_S3_UPLOAD_CUTOFF=5M
for i in "${!endpoints[@]}"; do
  remote=RCLONE_CONFIG_E$i
  export "${remote}_TYPE=s3" "${remote}_PROVIDER=Other" "${remote}_ENV_AUTH=true" "${remote}_REGION=us-east-1" \
    "${remote}_ENDPOINT=${endpoints[i]}" "${remote}_FORCE_PATH_STYLE=true"
done
there=E$((${#endpoints[@]} - 1))

step "a tree, and an object in parts"
tree "$work/tree"
content "$work/tree/large" $((megabytes << 20))
rclone mkdir "E0:$bucket"
rclone copy "$work/tree" "E0:$bucket/tree"
for i in "${!endpoints[@]}"; do
  rclone check "$work/tree" "E$i:$bucket/tree"            # by entity tags and sizes
  rclone check --download "$work/tree" "E$i:$bucket/tree" # by bytes
  rm -rf "$work/copy"
  rclone copy "E$i:$bucket/tree" "$work/copy"
  diff -r "$work/tree" "$work/copy"
done

step "a sync that deletes, changes and adds"
rm "$work/tree/a/4k"
content "$work/tree/small" 77
content "$work/tree/a/new" 12345
rclone sync "$work/tree" "E0:$bucket/tree"
for i in "${!endpoints[@]}"; do rclone check --download "$work/tree" "E$i:$bucket/tree"; done
# Modification times are kept as metadata: nothing is copied twice.
rclone sync --dry-run --stats-one-line --stats-log-level NOTICE "$work/tree" "$there:$bucket/tree" 2>"$work/said"
if grep -q 'Skipped' "$work/said"; then fail "a second sync copies: $(cat "$work/said")"; fi

step "copies on the server, and bytes from a pipe"
rclone copyto "E0:$bucket/tree/large" "E0:$bucket/copied"
rclone moveto "E0:$bucket/copied" "E0:$bucket/moved"
rclone cat "$there:$bucket/moved" | cmp - "$work/tree/large"
rclone rcat "E0:$bucket/piped" <"$work/tree/large"
rclone cat "$there:$bucket/piped" | cmp - "$work/tree/large"

step "removal"
rclone delete "E0:$bucket/tree/b c"
nothing rclone lsf -R --files-only --include "/b c/**" "$there:$bucket/tree"
rclone purge "E0:$bucket"
rclone lsf "$there:" >"$work/buckets"
if says -x "$bucket/" <"$work/buckets"; then fail "the bucket is left"; fi
