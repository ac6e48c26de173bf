#!/bin/sh
# Build once, publish, deploy and verify: the whole job for any CI. usage: deploy.sh ENVIRONMENT
# The exit code is that of the step that ended it (docs/ci.md): 1 failed, 3 mixed fleet, 4 locked, 6 still running, 7 AWS refused.
# --lock-wait lets a rollout that runs end first; --yes confirms what a protected environment would ask a person.
set -eu
environment=${1:?usage: deploy.sh ENVIRONMENT}

build=$(inv version --env "$environment")
inv publish --env "$environment"
inv deploy --env "$environment" --build "$build" --lock-wait 30m --yes --no-verify
inv verify-versions --env "$environment" --build "$build" --wait 5m
