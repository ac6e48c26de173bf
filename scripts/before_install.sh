#!/bin/sh
# BeforeInstall: refuse what cannot work, and clear the folder that Install copies to.
. "${0%/*}/lib.sh"
. "${0%/*}/prune.sh"

# The same rule as shipit/version.py: what a unit's name, a folder and a key take as it is.
case $build in
  [!A-Za-z0-9]* | *[!A-Za-z0-9._-]*)
    die "$build cannot be part of a systemd unit's name: use letters, digits and . _ -, a letter or digit first"
    ;;
esac
[ "${#build}" -le 128 ] || die "$build is too long for a systemd unit's name: at most 128 characters"

# Room for the bundle twice (what Install copies, and a release where hard links are not possible), for what wheels
# unpack to, about three times their size, and 100 MB.
kilobytes() {
  size=$(du -sk "$1")
  echo "${size%%[!0-9]*}"
}
need=$(($(kilobytes "$bundle") * 2 + 102400))
wheels=$(setting SHIPIT_WHEELS)
[ -z "$wheels" ] || [ ! -d "$bundle/$wheels" ] || need=$((need + $(kilobytes "$bundle/$wheels") * 3))
mkdir -p "$releases"
look() {
  free=$(df -Pk "$releases" | { read -r _ && read -r _ _ _ free _ && echo "$free"; })
}
look
if [ "$free" -lt "$need" ]; then
  # ValidateService prunes only behind a build that works. Many that did not would leave no room for the one that does.
  prune >/dev/null
  look
fi
[ "$free" -ge "$need" ] || die "$releases has $free KB free, this build needs $need KB"

rm -rf "$incoming"
mkdir -p "$incoming"
finish "\"free_kb\":$free"
