"""Alembic looks for this file; ``hoonify_plugins.database.migration`` configures and runs the steps itself."""
