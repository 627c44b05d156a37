"""The database that keys and usage records are kept in: SQLite in a file, or PostgreSQL by URL.

Only the supervisor, the command line and pages that people read come here; gateways answer requests from what is in
their memory. Nothing of SQLAlchemy is imported before a database is opened.
"""
