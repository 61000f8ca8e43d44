#!/usr/bin/env bash
# s3fs: s3fs.sh READY-FILE. What is written into a mount of one endpoint is read
# from mounts of all. Exit code 77, and why, where FUSE cannot be used.
. "$(dirname "$0")/lib.sh"
unusable() { echo "$1"; exit 77; }
[ -c /dev/fuse ] || unusable "there is no /dev/fuse"
(exec 3<>/dev/fuse) 2>/dev/null || unusable "/dev/fuse cannot be opened"
capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
(((16#$capabilities >> 21) & 1)) || unusable "this process may not mount (no CAP_SYS_ADMIN)"

here=${endpoints[0]}
last_steps() {
  cd /
  if mountpoint -q "$work/mount"; then umount -l "$work/mount"; fi
  aws --endpoint-url "$here" s3 rb --force "s3://$bucket" >/dev/null 2>&1 || true
}
echo "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" >"$work/keys"
mkdir "$work/mount"
mounted() { # ENDPOINT: a fresh mount, which has nothing in its caches
  s3fs "$bucket" "$work/mount" -o "url=$1,use_path_request_style,passwd_file=$work/keys,endpoint=us-east-1,multipart_size=5,retries=1"
  mountpoint -q "$work/mount" || fail "$1 is not mounted"
}

step "a tree, and a file in parts"
aws --endpoint-url "$here" s3 mb "s3://$bucket"
tree "$work/tree"
content "$work/tree/large" $((megabytes << 20))
mounted "$here"
cp -r "$work/tree" "$work/mount/"
umount "$work/mount"
for e in "${endpoints[@]}"; do
  mounted "$e"
  diff -r "$work/tree" "$work/mount/tree"
  umount "$work/mount"
done

step "changes"
mounted "$here"
for root in "$work" "$work/mount"; do
  mv "$root/tree/a/4k" "$root/tree/renamed"
  mv "$root/tree/a/deep" "$root/tree/b c/"
  rm "$root/tree/small"
  echo "one line more" >>"$root/tree/renamed"
  truncate -s 2000 "$root/tree/b c/deep/er/3m"
  printf 'in the middle' | dd of="$root/tree/large" bs=1 seek=7000000 conv=notrunc status=none
done
umount "$work/mount"
for e in "${endpoints[@]}"; do
  mounted "$e"
  diff -r "$work/tree" "$work/mount/tree"
  umount "$work/mount"
done

step "removal"
mounted "${endpoints[-1]}"
rm -r "$work/mount/tree"
umount "$work/mount"
left=$(aws --endpoint-url "$here" s3api list-objects-v2 --bucket "$bucket" --no-paginate --query KeyCount --output text)
[ "$left" = 0 ] || fail "$left objects are left"
aws --endpoint-url "$here" s3 rb "s3://$bucket"
