# What the hooks share: names of places, settings, and how to end. Sourced, POSIX sh; builtins where they serve, since
# every process that a hook starts is paid for on every instance.
# shellcheck shell=sh
# shellcheck disable=SC2034  # the hooks use the variables

set -eu
umask 022 # a release is for the worker's user to read

root=${SHIPIT_ROOT:-} # empty on a real machine; the sandbox gives each instance a file system below it
app=${APPLICATION_NAME:?is set by the CodeDeploy agent}
bundle=${0%/*}/..
incoming=$root/opt/shipit/incoming # fixed: the appspec cannot name the build
home=$root/opt/shipit/$app
releases=$home/releases
venvs=$home/venvs
units=$root/etc/systemd/system

die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# End with one short line of JSON, $1 among its fields: a long one would empty the log that CodeDeploy shows.
finish() {
  printf '{"event":"%s","build":"%s",%s}\n' "${LIFECYCLE_EVENT:-}" "$build" "$1"
}

# Call $1 with the name and the value of each setting. Later ones win: ours, then the project's, then what this
# instance's user data says.
settings() {
  for file in "$bundle/scripts/defaults.env" "$bundle/scripts/settings.env" "$root/etc/shipit/instance.env"; do
    [ -f "$file" ] || continue
    # As systemd reads them, who reads these files too: blanks around either half, and a carriage return, are nothing.
    # Not split by IFS, which would take the last = off a value that ends in one.
    while read -r line || [ -n "$line" ]; do
      key=${line%%=*}
      key=${key%"${key##*[![:space:]]}"}
      case $key in
        '' | "$line" | [!A-Za-z_]* | *[!A-Za-z0-9_]*) continue ;; # a comment, or nothing that an environment can hold
      esac
      value=${line#*=}
      value=${value#"${value%%[![:space:]]*}"}
      value=${value%"${value##*[![:space:]]}"}
      case $value in
        \"*\") value=${value#\"} value=${value%\"} ;;
        \'*\') value=${value#\'} value=${value%\'} ;;
      esac
      "$1" "$key" "$value"
    done <"$file"
  done
}

_take() {
  [ "$1" != "$wanted" ] || found=$2
}

_export() {
  case $1 in
    UID | EUID | PPID | SHELLOPTS | BASHOPTS | BASH_VERSINFO) ;; # bash, which may be sh, would end here
    *) export "$1=$2" ;;
  esac
}

# Print the setting $1.
setting() {
  wanted=$1
  found=
  settings _take
  printf '%s' "$found"
}

# Wait until what was written to the file system of $1 is on the disk, before a name says that it is whole: a machine
# that loses power would come back with that name on files without content. Below a root the machine is not the
# instance's own, and the disk is busy with what others write.
on_disk() {
  [ -n "$root" ] || sync -f "$1" 2>/dev/null || sync # coreutils before 8.24 knows no -f
}

# Run a command as the worker's user, below the worker's settings.
as_worker() (
  settings _export
  user=$(setting SHIPIT_USER)
  if [ "$(id -u)" != 0 ] || [ "$user" = "$(id -un)" ]; then
    "$@"
  else
    # Without a user of its own the worker is of systemd's DynamicUser=, which owns nothing: as good as nobody.
    uid=65534 gid=65534
    if [ -n "$user" ]; then
      id "$user" >/dev/null || die "SHIPIT_USER is $user, whom this instance does not have"
      uid=$(id -u "$user") gid=$(id -g "$user")
    fi
    setpriv --reuid="$uid" --regid="$gid" --clear-groups --no-new-privs "$@"
  fi
)

build=$(sed -n 's/.*"version" *: *"\([^"]*\)".*/\1/p' "$bundle/build.json")
[ -n "$build" ] || die "build.json names no version: was this bundle made by shipit?"
release=$releases/$build
unit=$app@$build.service
