#!/bin/sh
# ApplicationStart: start this build's worker, and only when it consumes let the older ones drain.
. "${0%/*}/lib.sh"

running=$(systemctl list-units --plain --no-legend "$app@*.service")

# Deployed once more, a build that runs is started anew: that is what a deployment of mode RESTART asks for.
verb=start
while read -r one _; do
  [ "$one" != "$unit" ] || verb=restart
done <<LIST
$running
LIST

# Type=notify: returns when the worker is ready. A broken build ends here, while the old one goes on consuming.
systemctl "$verb" "$unit" || {
  systemctl stop --no-block "$unit" # or Restart= would go on trying
  die "$unit did not start; see journalctl -u $unit"
}
systemctl enable --quiet "$unit"

# A drain may last longer than a hook may: nobody waits for it.
stopped=0
while read -r other _; do
  if [ -n "$other" ] && [ "$other" != "$unit" ]; then
    systemctl disable --quiet --now --no-block "$other"
    stopped=$((stopped + 1))
  fi
done <<LIST
$running
LIST
finish "\"unit\":\"$unit\",\"how\":\"$verb\",\"stopped\":$stopped"
