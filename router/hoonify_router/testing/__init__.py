"""The conformance kit: does a backend keep all promises that the router makes in its name?

In a plugin's test suite, subclass ``BackendConformance``; on the command line, ``hoonify-router conformance``.
"""

from __future__ import annotations

from hoonify_router.testing.suite import BackendConformance

__all__ = ["BackendConformance"]
