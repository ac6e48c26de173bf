#!/bin/sh
# What the unit starts, in the release's own folder: one Celery worker for the queue of this instance. Python comes
# with the build (its wheels), or is SHIPIT_PYTHON.
set -euf # no * of an argument is a file

python=.venv/bin/python3
[ -x "$python" ] || python=$SHIPIT_PYTHON

# Remote control does not exist on SQS: no mingling, no gossip.
# shellcheck disable=SC2086  # several arguments
exec "$python" -m celery --app "${SHIPIT_CELERY_APP:-$SHIPIT_APPLICATION}" worker --queues "$SHIPIT_QUEUE" \
  --hostname "$SHIPIT_BUILD@%h" --without-mingle --without-gossip ${SHIPIT_CELERY_ARGS:-}
