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

# The watcher comes with the worker's unit. One process for both files, and none of it can fail a deployment.
watcher=installed
extra="$units/$app@.service.d"
awk -v app="$app" -v release="$release" -v root="$root" -v service="$units/$app-watcher.service" -v extra="$extra" '
  FNR == 1 { to = FILENAME ~ /\.conf$/ ? extra "/watcher.conf" : service }
  { gsub("@APP@", app); gsub("@RELEASE@", release); gsub("@ROOT@", root); print >to }
' "$bundle/scripts/systemd/watcher.service" "$bundle/scripts/systemd/watcher.conf" || watcher=failed
# Which deployment brought the build: its reports bear the id.
printf '%s %s\n' "$build" "${DEPLOYMENT_ID:-}" >>"$home/deployments" || watcher=failed

systemctl daemon-reload

# One that runs goes on as this build's; a notice given meanwhile is still there a moment later. Where none ever ran,
# the worker's start brings it.
if [ -e "$root/var/lib/shipit/$app/watch.lock" ]; then
  systemctl try-restart --no-block "$app-watcher.service" || watcher=failed
fi
finish "\"release\":\"$release\",\"watcher\":\"$watcher\""
