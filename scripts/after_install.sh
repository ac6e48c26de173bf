#!/bin/sh
# AfterInstall: make the release's own folder, complete or not at all, and the unit that starts workers from it.
. "${0%/*}/lib.sh"

if [ -d "$release" ]; then
  cmp -s "$incoming/build.json" "$release/build.json" || die "$release holds another build of the same name"
else
  rm -rf "$release.tmp"
  # Hard links cost neither time nor room; where the file system has none, copy.
  cp -al "$incoming" "$release.tmp" 2>/dev/null || {
    rm -rf "$release.tmp"
    cp -a "$incoming" "$release.tmp"
  }
  mv "$release.tmp" "$release"
fi
touch "$release" # the newest releases are kept

# For people. Nothing starts through it: a worker that imports lazily would mix two builds after the next switch.
ln -sfn "releases/$build" "$home/current"

mkdir -p "$units"
sed "s|@RELEASES@|$releases|g; s|@ROOT@|$root|g" "$bundle/systemd/$app@.service" >"$units/$app@.service.tmp"
mv "$units/$app@.service.tmp" "$units/$app@.service"
systemctl daemon-reload
finish "\"release\":\"$release\""
