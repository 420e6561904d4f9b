"""The coordinator of hybrid-ai: a self-hosted AI gateway that learns from its own use."""

__version__ = "0.1.0"
