"""What each command does, step by step: the verbs in their order, over the parts that the wiring made.

prepare.py   a plan and a policy by the settings; the plan refused where it must be
deploy.py    plan, deploy, restart
resume.py    carry on a rollout whose process is gone
conduct.py   one rollout from its record's first word to its last: waves, proof, policy
undo.py      take groups back to what they ran before; go back to an older build
watch.py     follow a rollout from any machine
attend.py    from any machine: find a rollout, stop it, let its next wave start
check.py     verify-versions: ask the instances, tell files and CloudWatch of the verdict
expected.py  what each group is expected to run, by the records of past rollouts
ask.py       questions that change nothing: status, history, diff, report
locks.py     the lock by hand
"""
