"""The worker host: one process, one engine, served as frames on a unix socket.

Runs as ``python -m hoonify_router.worker`` in the interpreter of the engine, where the router's own
dependencies may be missing: nothing in here imports more than msgspec and, through ``api``, pluggy.
"""
