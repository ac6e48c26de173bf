"""Bring one build to all CodeDeploy groups of a fleet at once, and prove that every instance runs it.

A command is a flow over a few stages. Each stage is one module with one job, and says what it touches:

    settings    shipit.toml -> Settings                         reads files
    build       the commit -> a bundle with a version           shell, disk
                (version, appspec, bundle; hosts: the same on a remote machine)
    publish     the bundle -> an immutable object in S3         writes S3
    plan        fleet, build -> what to do with each group      pure
    rollout     the plan -> deployments, watched to their end   writes CodeDeploy; `advance` is pure
    diagnose    a failed group -> why, and what to type next    pure
    ledger      what was rolled out, by whom                    writes S3
    verify      reports and fleet -> the verdict over each node `judge` is pure; reads Athena, Auto Scaling

    tasks       what a user types: flags, nothing more
    command     what all tasks share: --env, --json, --debug, the one handler of errors
    flows       the order of the stages in each command
    wiring      which gateway serves which stage

Stages share the words of `models` and `events`, and the tree of `errors` with its exit codes. They know neither each
other nor AWS: `aws` holds one gateway per service, `display` is the only one that prints, and `sandbox` is an AWS on
this machine in which all of it runs without an account. tests/test_architecture.py keeps these rules.
"""
