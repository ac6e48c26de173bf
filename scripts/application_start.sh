#!/bin/sh
# ApplicationStart: switch to this build's worker.
. "${0%/*}/lib.sh"

running=$(systemctl list-units --full --plain --no-legend "$app@*.service")
others=
serves= # whether one of them consumes, or is about to
while read -r one _ state _; do
  case $one/$state in
    / | "$unit"/* | */failed | */inactive) continue ;;
    */deactivating) ;; # it drains
    *) serves=yes ;;
  esac
  others="$others $one"
done <<LIST
$running
LIST

# The build that served until now, and serves on where this one cannot.
previous=$(readlink "$home/current" || :)
previous=${previous##*/}

# Type=notify: returns when the worker is ready. What is said here is all that CodeDeploy will show of it.
start() {
  systemctl "$1" "$unit" && return
  journalctl --unit "$unit" --lines 20 --no-pager --output cat >&2 || :
  return 1
}

# Deployed once more, a build that runs is started anew: that is what a deployment of mode RESTART asks for. But not
# twice by one deployment, whose hook may have been killed and run again.
how=start
if systemctl is-active --quiet "$unit"; then
  how=restart
  [ "$(cat "$home/.started" 2>/dev/null)" != "${DEPLOYMENT_ID:-} $unit" ] || how=already
fi

mode=$(setting SHIPIT_MODE)
case $mode in
  overlap)
    # The old worker consumes until the new one does. A broken build ends here, and changes nothing.
    [ "$how" = already ] || start "$how" || {
      # Where nothing else runs, Restart= goes on trying: a worker that comes late is better than none.
      [ -z "$serves" ] || systemctl stop --no-block "$unit"
      die "$unit did not start"
    }
    ;;
  in-place)
    # Where this hook's time is over before the drain is, nothing would run in the end: the build before starts behind it.
    before=${previous:-$build}
    trap 'systemctl start --no-block "$app@$before.service"; die "ended while the old worker drained; $before starts again behind it"' TERM
    # shellcheck disable=SC2086  # a unit's name holds no blanks
    [ -z "$others" ] || systemctl stop $others
    trap - TERM
    [ "$how" = already ] || start "$how" || {
      [ -n "$previous" ] && [ "$previous" != "$build" ] || die "$unit did not start"
      systemctl stop "$unit"
      systemctl start "$app@$previous.service" || die "neither $unit nor that of $previous, which ran before, started"
      die "$unit did not start; $previous runs again"
    }
    ;;
  *) die "SHIPIT_MODE is $mode: overlap or in-place" ;;
esac

echo "${DEPLOYMENT_ID:-} $unit" >"$home/.started"
# After a boot this build runs, and no other: not one, either, that was stopped by hand, or by this hook before it was
# killed and run again.
systemctl enable --quiet "$unit"
set --
for file in "$units/$app@"?*.service; do
  [ "${file##*/}" = "$unit" ] || set -- "$@" "${file##*/}"
done
[ $# = 0 ] || systemctl disable --quiet "$@"
# For people, and for the report of what is installed. Nothing starts through it: a worker that imports lazily would
# mix two builds after the next switch.
ln -sfn "releases/$build" "$home/.current"
mv -T "$home/.current" "$home/current"

# A drain may last longer than a hook may: nobody waits for it.
stopped=0
for one in $others; do
  systemctl stop --no-block "$one"
  stopped=$((stopped + 1))
done
finish "\"unit\":\"$unit\",\"mode\":\"$mode\",\"how\":\"$how\",\"stopped\":$stopped"
