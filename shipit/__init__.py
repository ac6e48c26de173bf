"""Bring one build to all CodeDeploy groups of a fleet at once, and prove that every instance runs it.

A command is a flow over a few stages. Each stage is one module with one job, and says what it touches:

    settings    shipit.toml -> Settings                           reads files
    build       the commit -> a bundle with a version             shell, disk
                (version, appspec, bundle; hosts: the same on a remote machine)
    lint        what would lose, double or strand tasks    pure, but for reading the files
    publish     the bundle -> an immutable object in S3           writes S3
    lock        one rollout per environment at a time             writes S3, by conditions; a thread renews it
    order       which of two builds is newer                      pure; git answers for their ancestry
    estimate    past rollouts -> how long each group takes        pure
    plan        fleet, build -> what to do with each group        pure
    rollout     the plan -> deployments, watched to their end     `advance` and `decide` are pure; `drive` writes
                                                                  CodeDeploy, from threads
    diagnose    a failed group -> why, and what to type next      pure
    verify      reports and fleet -> the verdict over each node   `expect`, `judge` are pure; reads Athena, ASGs
    ledger      what was rolled out, by whom, and orders to it    writes S3, by conditions
    history     rollouts -> rows, and the last good build         pure
    status      fleet, last rollout -> what runs, in a line       pure
    rehearse    tasks that flow through a rollout, counted        `tally` is pure; sends messages from a thread
    report      a rollout's record -> one HTML page               pure
    dashboards  the fleet's queues -> what Grafana provisions     `render` is pure; writes files
    notify      who hears of a start and an end                   HTTP, a command of the user's
    setup       what reports need on AWS -> made where missing    `decide` is pure; writes Athena, S3's lifecycle
    fresh       reports and fleet -> does one come out            pure
    versions    starts and stops -> which build ran when          pure
    cost        how many report how often -> dollars              pure

    tasks       what a user types: flags, nothing more
    command     what all tasks share: --env, --json, --debug, the one handler of errors
    flows       the order of the stages in each command: `deploy` and `rollback` make a plan and take the lock,
                `resume` carries one on, `conduct` leads any rollout through its waves to its outcome, `undo` takes
                one back, `watch` follows and `attend` stops or promotes one from any machine, `check` asks the
                instances, `ask` and `locks` answer questions and freeze
    wiring      which gateway serves which stage

Stages share the words of `models` and `events`, the tree of `errors` with its exit codes, the `clock` that no step of
the machine's moves, the `home` that git does not see, and `interrupts`, which holds a signal back where it would tear
something. They know neither each other nor AWS: `aws` holds one gateway per service, `display` is the only one that
prints, and `sandbox` is an AWS on this machine in which all of it runs without an account. tests/test_architecture.py
keeps these rules.
"""
