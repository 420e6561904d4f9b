"""What timers run and nothing else does: the dashboard's files so far; the health check has a room.

A job looks and writes as the service's user does and never holds the state
directory's lock, which is the running coordinator's.
"""
