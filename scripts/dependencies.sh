# Installing what the application needs, from the bundle alone: an instance that starts while a package index is down
# or empty of the one version would otherwise come up with another build than its neighbours. Sourced, after lib.sh.
# shellcheck shell=sh
# shellcheck disable=SC2154  # lib.sh sets the variables

dependencies=none # or installed, or reused

# Give the release in folder $1 its .venv, where the bundle brings wheels. An environment belongs to a lock and its
# wheels, not to a build: a release that changes code alone installs nothing.
install_dependencies() {
  wheels=$(setting SHIPIT_WHEELS)
  [ -n "$wheels" ] && [ -d "$1/$wheels" ] || return 0 # without the first, the whole release would be wheels
  wheels=$1/$wheels
  lock=$1/$(setting SHIPIT_LOCK)
  [ -f "$lock" ] || die "the bundle has wheels but no ${lock#"$1/"}: SHIPIT_LOCK in scripts/settings.env names it"
  key=$(_key)
  venv=$venvs/$key
  dependencies=reused
  if [ ! -f "$venv/.complete" ]; then
    # Not moved into place, since its scripts hold its path; what is not complete was never used.
    rm -rf "$venv"
    mkdir -p "$venvs"
    _make_venv || die "the dependencies cannot be installed from ${wheels#"$1/"}/"
    on_disk "$venv"
    touch "$venv/.complete"
    dependencies=installed
  fi
  ln -s "../../venvs/$key" "$1/.venv"
}

# The lock, the wheels, and the Python: another of these makes another environment. The wheels by content: one that a
# project builds of its own library has the same name and version each time.
_key() {
  {
    cat "$lock"
    (cd "$wheels" && LC_ALL=C sha256sum -- * 2>/dev/null) || : # of folders it says that they are none
    "$python" -c 'import sys; print(sys.version, sys.executable)'
  } | sha256sum | cut -c 1-16
}

_make_venv() {
  if command -v uv >/dev/null; then
    uv venv --quiet --offline --no-config --python "$python" "$venv" >&2 &&
      uv pip install --quiet --offline --no-config --no-cache --link-mode copy --python "$venv/bin/python" \
        --no-index --find-links "$wheels" --requirement "$lock" >&2
  else
    "$python" -m venv "$venv" >&2 &&
      "$venv/bin/python" -m pip install --quiet --isolated --disable-pip-version-check --no-input --no-cache-dir \
        --no-index --find-links "$wheels" --requirement "$lock" >&2
  fi
}
