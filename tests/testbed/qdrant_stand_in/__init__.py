"""A stand-in for the Qdrant server: its REST API over qdrant-client's own local mode.

No package registry has the server, so tests that need one run on this program, and on the real one
wherever QDRANT_BIN names it: the same tests for both. It answers what qdrant-client's asynchronous
REST client sends for the operations of `hybrid_coordinator.knowledge`, the health paths, the
version, telemetry and metrics, with the server's status codes, and it reads the server's own
configuration. Wire formats are those of `qdrant_client.http.models`; a field they do not know is
refused, where the server would ignore it.

Not for production and not for speed: it looks at every point at every search, and it has no gRPC,
TLS, snapshots, aliases or clustering. The package needs nothing but qdrant-client, starlette,
uvicorn and orjson (PyYAML for a configuration that is not JSON), so a machine can run a copy of the
folder: `PYTHONPATH=<its parent> python3 -m qdrant_stand_in --config-path config.yaml`.
"""
