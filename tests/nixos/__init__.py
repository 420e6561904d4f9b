"""Named tests of the whole stack on a real systemd, and the scenarios they run in.

Plain Python of the standard library alone: NixOS' test driver imports this folder by path, and so
does ``tests/systemd``.
"""
