"""The testbed: the real servers the integration tests talk to, and how they are had.

Debian's packages, PyPI and the Go module proxy are the only sources. Everything is built once
into the cache folder (`tests.testbed.cache`) and started on a free loopback port. Handles come
from `tests.testbed.redis`, `.qdrant`, `.lemonade` and `.ollama`, or as pytest fixtures from
`tests.testbed.fixtures`. Not for the product: nothing in `hybrid_coordinator` imports this.
"""
