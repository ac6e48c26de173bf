#!/bin/sh
# ApplicationStart: start this build's worker, and only when it consumes let the older ones drain.
. "${0%/*}/lib.sh"

# Type=notify: returns when the worker is ready. A broken build ends here, while the old one goes on consuming.
systemctl start "$unit" || die "$unit did not start; see journalctl -u $unit"
systemctl enable --quiet "$unit"

# A drain may last longer than a hook may: nobody waits for it.
stopped=0
for other in $(systemctl list-units --plain --no-legend "$app@*.service" | while read -r name _; do echo "$name"; done); do
  if [ "$other" != "$unit" ]; then
    systemctl disable --quiet --now --no-block "$other"
    stopped=$((stopped + 1))
  fi
done
finish "\"unit\":\"$unit\",\"stopped\":$stopped"
