# Throwing away what no rollback will ask for: releases beyond SHIPIT_KEEP, their units, and environments of none.
# Sourced, after lib.sh.
# shellcheck shell=sh
# shellcheck disable=SC2154  # lib.sh sets the variables

# Delete them and print how many releases went. A deletion that was cut short is ended here, too.
prune() {
  keep=$(setting SHIPIT_KEEP)
  case $keep in
    '' | *[!0-9]*)
      printf 'SHIPIT_KEEP is %s: a number of releases; 5 stay\n' "${keep:-empty}" >&2
      keep=5
      ;;
  esac
  # The build that was switched to last: its worker may be between two starts.
  served=$(readlink "$home/current" || :)
  served=${served##*/}
  # The build that was installed last, though its worker may never have started: the watcher's unit runs from it.
  watches=$(sed -n 's|^ExecStart=.*/releases/\([^/]*\)/scripts/watch\.py .*|\1|p' "$units/$app-watcher.service" 2>/dev/null) || :
  count=0
  gone=0
  # Newest first by the time of their last deployment, which AfterInstall sets.
  # shellcheck disable=SC2045  # a build's name holds no blanks
  for old in $(ls -t "$releases"); do
    count=$((count + 1))
    [ "$count" -gt "$keep" ] || continue
    case $old in "$build" | "$served" | "$watches") continue ;; esac
    if ! _runs "$app@$old.service"; then
      rm -f "${units:?}/$app@$old.service"
      _delete "$releases/$old"
      gone=$((gone + 1))
    fi
  done
  for venv in "$venvs"/*; do
    [ -d "$venv" ] || continue
    used=
    for link in "$releases"/*/.venv; do
      case $(readlink "$link" || :) in
        */"${venv##*/}") used=yes ;;
      esac
    done
    [ -n "$used" ] || _delete "$venv"
  done
  rm -rf "${releases:?}/.new" "${releases:?}/.gone" "${venvs:?}/.gone"
  [ "$gone" = 0 ] || systemctl daemon-reload
  echo "$gone"
}

# Also a worker that still drains has a process.
_runs() {
  [ "$(systemctl show --property=MainPID --value "$1")" != 0 ]
}

# In two steps: what is half deleted must not be taken for whole.
_delete() {
  rm -rf "${1%/*}/.gone"
  mv "$1" "${1%/*}/.gone"
  rm -rf "${1%/*}/.gone"
}
