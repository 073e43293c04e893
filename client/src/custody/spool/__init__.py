"""What could not be delivered yet: whole steps, kept on this machine until `custody flush`.

Durability contract: a step is in the spool when `Draft.commit` has returned, then also
after a crash; before that there is nothing of it that anyone would deliver. It leaves
the spool only when the service has sealed it. No token is ever written here.
"""
