# What the hooks share: names of places, and how to end. Sourced, POSIX sh; builtins where they serve, since every
# process that a hook starts is paid for on every instance.
# shellcheck shell=sh
# shellcheck disable=SC2034  # the hooks use the variables

set -eu

root=${SHIPIT_ROOT:-} # empty on a real machine; the sandbox gives each instance a file system below it
app=${APPLICATION_NAME:?is set by the CodeDeploy agent}
bundle=${0%/*}/..
incoming=$root/opt/shipit/incoming # fixed: the appspec cannot name the build
home=$root/opt/shipit/$app
releases=$home/releases
units=$root/etc/systemd/system

die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# End with one short line of JSON, $1 among its fields: a long one would empty the log that CodeDeploy shows.
finish() {
  printf '{"event":"%s","build":"%s",%s}\n' "${LIFECYCLE_EVENT:-}" "$build" "$1"
}

# Print a fact from instance.env, or the default.
fact() {
  value=$2
  if [ -f "$root/etc/shipit/instance.env" ]; then
    while IFS='=' read -r key rest || [ -n "$key" ]; do
      [ "$key" != "$1" ] || value=$rest
    done <"$root/etc/shipit/instance.env"
  fi
  printf '%s' "$value"
}

build=$(sed -n 's/.*"version" *: *"\([^"]*\)".*/\1/p' "$bundle/build.json")
[ -n "$build" ] || die "build.json names no version: was this bundle made by shipit?"
release=$releases/$build
unit=$app@$build.service
