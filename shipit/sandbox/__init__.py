"""An AWS on this machine, for the tool, its tests and its users' rehearsals.

Nothing is imported here: each part loads only what it needs.

    wire.py       the AWS JSON 1.1 door, held to botocore's service models
    faults/       what goes wrong on demand: inv sandbox.fault
    throttle.py   "Rate exceeded" on demand, and the count of all calls
    clock.py      the sandbox's time and its one timer thread
    agents.py     the seam between CodeDeploy and the instances; scripted instances
    codedeploy/   our CodeDeploy: groups, deployments, and the engine that runs them
    athena/       our Athena: the same SQL, over the same objects
    instance/     real instances: directories in which the hooks really run
    server.py     the daemon: one loopback port for all of it, idle shutdown, end of all processes
    routes.py     which part answers a request; web pages are refused
    idleness.py   when the daemon ends by itself
    workers.py    the instances: folders with real hooks, or names that play a script
    lifecycle.py  start, find, stop and reset the daemon, from the command line's process
    running.py    the daemon as others see it: its record, its process, its own requests
    config.py     what a sandbox is made of
    seed.py       buckets, Auto Scaling groups, deployment groups, Athena's table
    membership.py instances come and go with moto's Auto Scaling groups
    moto_door.py  moto in this process; all that knows its insides
    objects.py    Athena's way to moto's objects
    control.py    the requests below /_sandbox/: status, stop, scripts and faults
"""
