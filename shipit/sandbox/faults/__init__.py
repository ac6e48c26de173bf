"""What goes wrong in the sandbox on demand, repeatable by its seed, and lifted by one word.

catalogue.py  the faults, their flags, and the check of what the user typed
ask.py        `inv sandbox.fault`, on the side of the command line
injector.py   the faults in effect: put one in, list them, lift them all
requests.py   what happens to the requests of clients: late, refused, reset, unanswered
refusals.py   a refusal in the words of each service's protocol
instances.py  what happens on instances: dead agents, broken hooks, deaths in mid-deployment
hooks.py      the ways in which a hook goes wrong, as a script around the real one
"""
