#!/bin/sh
# ValidateService: prove that the worker runs, stays up, and is this build; then report it.
. "${0%/*}/lib.sh"

state() {
  systemctl show --property=ActiveState,MainPID,NRestarts "$unit"
}

before=$(state)
sleep "$(fact SHIPIT_STABLE_SECONDS 10)"
after=$(state)
[ "$before" = "$after" ] || die "$unit is not stable: was $(echo "$before" | tr '\n' ' '), is $(echo "$after" | tr '\n' ' ')"
pid=
for property in $after; do
  case $property in
    ActiveState=active | NRestarts=*) ;;
    MainPID=[1-9]*) pid=${property#MainPID=} ;;
    *) die "$unit does not run: $property" ;;
  esac
done

tr '\0' '\n' <"/proc/$pid/environ" | grep -qxF "SHIPIT_BUILD=$build" || die "process $pid has another SHIPIT_BUILD than $build"
folder=$(readlink "/proc/$pid/cwd")
[ "$folder" = "$(cd "$release" && pwd -P)" ] || die "process $pid runs in $folder, not in $release"

# A report that cannot be sent does not undo a healthy worker: shipit's check will show the instance as silent.
report=sent
python3 -I -S "${0%/*}/report.py" "$home" "$pid" deploy || report=failed
finish "\"pid\":$pid,\"report\":\"$report\""
