"""What each command does, step by step: the verbs in their order, over the parts that the wiring made.

prepare.py   a plan by the settings, refused where it must be
deploy.py    plan, deploy, resume, restart
conduct.py   one rollout from its record's first word to its last: waves, proof, policy
undo.py      take groups back to what they ran before; go back to an older build
attend.py    from any machine: watch a rollout, stop it, let its next wave start
check.py     verify-versions: ask the instances, tell files and CloudWatch of the verdict
expected.py  what each group is expected to run, by the records of past rollouts
ask.py       questions that change nothing: status, history, diff, report
locks.py     the lock by hand
"""
