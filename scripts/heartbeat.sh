#!/bin/sh
# Report the worker that runs: heartbeat.sh HOME UNIT, by a timer. A worker that is not active, or on its way out,
# has nothing to say.
set -eu

pid=
active=
for property in $(systemctl show --property=ActiveState,MainPID "$2"); do
  case $property in
    ActiveState=active) active=yes ;;
    MainPID=[1-9]*) pid=${property#MainPID=} ;;
  esac
done
[ -n "$active" ] && [ -n "$pid" ] || exit 0
exec python3 -I -S "${0%/*}/report.py" "$1" "$pid" heartbeat
