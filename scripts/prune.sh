# Throwing away what no rollback will ask for: releases beyond SHIPIT_KEEP, their units, and environments of none.
# Sourced, after lib.sh.
# shellcheck shell=sh
# shellcheck disable=SC2154  # lib.sh sets the variables

# Delete them and print how many releases went. A deletion that was cut short is ended here, too.
prune() {
  keep=$(setting SHIPIT_KEEP)
  # The build that was switched to last: its worker may be between two starts.
  served=$(readlink "$home/current" || :)
  served=${served##*/}
  count=0
  gone=0
  # Newest first by the time of their last deployment, which AfterInstall sets.
  # shellcheck disable=SC2045  # a build's name holds no blanks
  for old in $(ls -t "$releases"); do
    count=$((count + 1))
    if [ "$count" -gt "$keep" ] && [ "$old" != "$build" ] && [ "$old" != "$served" ] && ! _runs "$app@$old.service"; then
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
