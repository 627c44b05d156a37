"""Hoonify Router: one OpenAI-compatible door in front of many inference engines."""

__version__ = "0.1.0"
