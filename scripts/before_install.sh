#!/bin/sh
# BeforeInstall: refuse what cannot work, make room, and clear the folder that Install copies to.
. "${0%/*}/lib.sh"

keep=5 # releases, the running ones apart

# The same rule as shipit/version.py: what a unit's name, a folder and a key take as it is.
case $build in
  [!A-Za-z0-9]* | *[!A-Za-z0-9._-]*)
    die "$build cannot be part of a systemd unit's name: use letters, digits and . _ -, a letter or digit first"
    ;;
esac
[ "${#build}" -le 128 ] || die "$build is too long for a systemd unit's name: at most 128 characters"
[ -f "$bundle/systemd/$app@.service" ] || die "the bundle has no systemd/$app@.service"

mkdir -p "$releases"

# Newest first by the time of their last deployment, which AfterInstall sets.
count=0
# shellcheck disable=SC2045  # a build's name holds no blanks
for old in $(ls -t "$releases"); do
  count=$((count + 1))
  if [ "$count" -gt "$keep" ] && [ "$old" != "$build" ]; then
    # Also a worker that still drains has a process.
    pid=$(systemctl show --property=MainPID --value "$app@${old%.tmp}.service")
    [ "$pid" != 0 ] || rm -rf "${releases:?}/$old"
  fi
done

# Room for the bundle twice (what Install copies, and a release where hard links are not possible), and 100 MB.
need=$(du -sk "$bundle")
need=$((${need%%[!0-9]*} * 2 + 102400))
free=$(df -Pk "$releases" | { read -r _ && read -r _ _ _ free _ && echo "$free"; })
[ "$free" -ge "$need" ] || die "$releases has $free KB free, this build needs $need KB"

rm -rf "$incoming"
mkdir -p "$incoming"
finish "\"free_kb\":$free"
