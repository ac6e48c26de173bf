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

mkdir -p "$units" "$units/$app@.service.d"
sed "s|@RELEASES@|$releases|g; s|@ROOT@|$root|g" "$bundle/systemd/$app@.service" >"$units/$app@.service.tmp"
mv "$units/$app@.service.tmp" "$units/$app@.service"

# The heartbeat comes with the worker's unit and goes with it. One process for all, and none of it can fail a deployment.
heartbeat=installed
extra="$units/$app@.service.d"
awk -v app="$app" -v home="$home" -v root="$root" -v units="$units" -v extra="$extra" '
  FNR == 1 {
    name = FILENAME
    sub(".*/", "", name)
    to = name == "worker.conf" ? extra "/heartbeat.conf" : units "/" app "-" name
  }
  { gsub("@APP@", app); gsub("@HOME@", home); gsub("@ROOT@", root); print >to }
' "$bundle/scripts/systemd/heartbeat@.service" "$bundle/scripts/systemd/heartbeat@.timer" \
  "$bundle/scripts/systemd/worker.conf" || heartbeat=failed

systemctl daemon-reload
finish "\"release\":\"$release\",\"heartbeat\":\"$heartbeat\""
