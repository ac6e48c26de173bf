#!/bin/sh
# ValidateService: prove that the worker runs, stays up, and is this build; report it; and tidy up behind it.
. "${0%/*}/lib.sh"
. "${0%/*}/prune.sh"

state() {
  systemctl show --property=ActiveState,MainPID,NRestarts "$unit"
}

before=$(state)
sleep "$(setting SHIPIT_STABLE_SECONDS)"
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

shown=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SHIPIT_BUILD=//p')
[ -n "$shown" ] || die "process $pid shows no SHIPIT_BUILD: its unit must set it, and SPT_NOENV=1 where it uses setproctitle"
[ "$shown" = "$build" ] || die "process $pid is of build $shown, not of $build"
folder=$(readlink "/proc/$pid/cwd")
[ "$folder" = "$(cd "$release" && pwd -P)" ] || die "process $pid runs in $folder, not in $release"

# Success is what the instance reports, so one that may not is not up to date for anybody. While S3 is only out of
# reach the report waits on disk, and the watcher sends it (75, EX_TEMPFAIL).
report=sent
python3 -B -I -S "${0%/*}/report.py" "$home" "$pid" deploy || {
  [ $? = 75 ] || die "the worker runs $build, but this instance could not report it"
  report=waits
}
pruned=$(prune) || pruned=null # the next deployment tries again; what runs is right
finish "\"pid\":$pid,\"report\":\"$report\",\"pruned\":$pruned"
