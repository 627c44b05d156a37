"""Bring a database's tables up to date, once, whoever else tries at the same time."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from hoonify_plugins.database.address import DatabaseError

_LOCK = 0x686F6F  # of ours among PostgreSQL's advisory locks
_TURN = threading.Lock()
"""Alembic keeps what it is doing in its modules: two threads of a process would take it from each other."""
_SCRIPTS = Path(__file__).with_name("migrations")


def bring_up_to_date(connection: Connection) -> None:
    """Run what is missing, in the transaction that ``connection`` is in.

    Raises:
        DatabaseError: The database was written by a newer version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    present = _version(connection)
    if present == newest_version():
        return
    logging.getLogger("alembic").setLevel(
        logging.WARNING
    )  # it tells of every look, and of its own parts
    from alembic.config import Config  # takes a tenth of a second: only where there is work
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head()
    known = {script.revision for script in scripts.walk_revisions()}
    if present is not None and present not in known:
        raise DatabaseError(
            f"the database has version {present}, this program knows none later than {newest}:"
            " it was written by a newer hoonify-router"
        )

    def upgrade(revision: Any, context: Any) -> Any:
        return scripts._upgrade_revs("head", revision)

    with _TURN, EnvironmentContext(config, scripts, fn=upgrade) as environment:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()


def newest_version() -> str:
    """Return what an up-to-date database has; the names of the scripts begin with it."""
    names = (path.name for path in (_SCRIPTS / "versions").glob("v*.py"))
    return max(names)[1:].partition("_")[0]


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])
