"""Tests of the door over real sockets, with clients that behave and clients that do not."""
