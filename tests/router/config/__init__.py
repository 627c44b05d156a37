"""Tests of the configuration: every mistake an operator can make, and the line that tells of it."""
