"""Brings a repository or a folder of documents into the knowledge collections.

Reads files, cuts them into pieces and hands those to a ``Sink``; what a piece
is stored as, and how it is found again, is ``knowledge``.
"""

from hybrid_coordinator.ingest.run import Ingest, Progress, Report, Sink

__all__ = ["Ingest", "Progress", "Report", "Sink"]
