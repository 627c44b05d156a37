"""Tests of the adapters: against real sockets and servers that misbehave in every way."""
