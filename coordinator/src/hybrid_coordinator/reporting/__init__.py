"""Figures about the service's use: a rolling store made from telemetry, and what is shown of it.

Nothing here is on a request's way. Import from the modules themselves; the
shapes that leave the process are in ``figures`` and ``documents``.
"""
