#!/bin/sh
# AfterInstall: make the release's own folder, with its dependencies, complete or not at all; and the unit that starts
# a worker from it. What runs is not touched.
. "${0%/*}/lib.sh"
. "${0%/*}/dependencies.sh"

python=$(setting SHIPIT_PYTHON)
smoke=skipped

# An application that cannot be imported ends here, while the old build goes on as if nothing had been.
smoke_test() {
  [ "$(setting SHIPIT_SMOKE)" != no ] || return 0
  module=$(setting SHIPIT_CELERY_APP)
  module=${module:-$app}
  interpreter=$python
  [ ! -x "$1/.venv/bin/python3" ] || interpreter=$1/.venv/bin/python3
  # Into a file: a process that the import leaves behind would hold the agent's pipe, and with it the event.
  said=$home/.smoke
  (
    cd "$1"
    as_worker env "SHIPIT_APPLICATION=$app" "SHIPIT_BUILD=$build" "PYTHONPATH=$1/scripts" PYTHONDONTWRITEBYTECODE=1 \
      timeout 120 "$interpreter" -c "$import" "$module"
  ) >"$said" 2>&1 || {
    code=$?
    tail -c 1500 "$said" >&2 # the log that CodeDeploy shows has room for 2,048 characters
    [ "$code" != 124 ] || die "the application, $module, was not imported after 120 s"
    die "the application, $module, cannot be imported"
  }
  smoke=passed
}

# As celery --app takes it: a module, module:attribute, or module.attribute.
import='import importlib, os, sys
sys.path.insert(0, os.getcwd())
name, colon, _ = sys.argv[1].partition(":")
parent, dot, last = name.rpartition(".")
try:
    importlib.import_module(name)
except ModuleNotFoundError as error:
    if colon or not dot or error.name != name or not hasattr(importlib.import_module(parent), last):
        raise'

if [ -d "$release" ]; then
  cmp -s "$incoming/build.json" "$release/build.json" || die "$release holds another build of the same name: deploy this one under another, or delete that"
else
  "$python" -I -S "$bundle/scripts/check_bundle.py" "$bundle" || die "the bundle is not what was built"
  # Not by the digest: the agent's Install makes a full copy of a symlink to a folder (codedeploy.md, section 3).
  diff -rq "$bundle" "$incoming" >&2 || die "$incoming is not what the bundle holds"
  # A build's name does not begin with a dot, so neither this folder nor one on its way out is ever taken for a release.
  new=$releases/.new
  rm -rf "$new"
  # Hard links cost neither time nor room; where the file system has none, copy.
  cp -al "$incoming" "$new" 2>/dev/null || {
    rm -rf "$new"
    cp -a "$incoming" "$new"
  }
  install_dependencies "$new"
  smoke_test "$new"
  on_disk "$new"
  mv "$new" "$release"
fi
touch "$release" # the newest releases are kept

# A unit of its own for each build: a template would give the workers of other builds, at their next start, the
# commands of this one.
source=$bundle/systemd/$app@.service
[ -f "$source" ] || source=$bundle/scripts/systemd/worker@.service
user=$(setting SHIPIT_USER)
as=DynamicUser=yes
[ -z "$user" ] || as=User=$user
# systemd must not end a drain before its last stage has.
stop=30
for stage in WAIT GRACE COLD; do
  seconds=$(setting "SHIPIT_DRAIN_$stage")
  seconds=${seconds%%.*}
  case $seconds in
    '' | *[!0-9]*) die "SHIPIT_DRAIN_$stage is $(setting "SHIPIT_DRAIN_$stage"): a number of seconds" ;;
  esac
  stop=$((stop + seconds))
done
mkdir -p "$units"
sed "
  s|@RELEASES@|$releases|g
  s|@ROOT@|$root|g
  s|@APP@|$app|g
  s|@STOP@|$stop|g
  s|^User=@USER@\$|$as|
" "$source" >"$units/.$unit.new"
mv "$units/.$unit.new" "$units/$unit"

# The watcher comes with the worker's unit, and none of it can fail a deployment.
watcher=installed
extra="$units/$app@.service.d"
fill() {
  sed "s|@APP@|$app|g; s|@RELEASE@|$release|g; s|@ROOT@|$root|g" "$bundle/scripts/systemd/$1" >"$units/.new" &&
    mv "$units/.new" "$2"
}
mkdir -p "$extra" && fill watcher.service "$units/$app-watcher.service" && fill watcher.conf "$extra/watcher.conf" ||
  watcher=failed
# Which deployment brought the build: its reports bear the id. The last 200 are known, the file is small and whole.
{
  tail -n 199 "$home/deployments" 2>/dev/null
  printf '%s %s\n' "$build" "${DEPLOYMENT_ID:-}"
} >"$home/.deployments" && mv "$home/.deployments" "$home/deployments" || watcher=failed
on_disk "$units"

systemctl daemon-reload

# One that runs goes on as this build's; a notice given meanwhile is still there a moment later. Where none ever ran,
# the worker's start brings it.
if [ -e "$root/var/lib/shipit/$app/watch.lock" ]; then
  systemctl try-restart --no-block "$app-watcher.service" || watcher=failed
fi
finish "\"release\":\"$release\",\"dependencies\":\"$dependencies\",\"smoke\":\"$smoke\",\"watcher\":\"$watcher\""
