"""Skep's version: read by the build, the command line and the cache keys (importlib.metadata would cost 35 ms)."""

VERSION = "0.1.0"
