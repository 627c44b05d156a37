"""A database that several processes have open at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import text

from hoonify_plugins.database.migration import newest_version
from hoonify_plugins.database.opening import Database

ELSEWHERE = """
import sys
from sqlalchemy import text
from hoonify_plugins.database.opening import Database

database = Database(sys.argv[1])
with database.read() as connection:
    print(connection.execute(text("SELECT number FROM api_key_changes")).scalar_one())
database.close()
"""


def read_elsewhere(url: str) -> int:
    """Open the database in another process, read and close it there."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(done.stdout)


def test_a_process_that_comes_and_goes_leaves_the_others_their_journal(tmp_path: Path) -> None:
    """Whatever is written afterwards is kept: a second connection here has not cost the first one its locks."""
    url = f"sqlite:///{tmp_path}/hoonify.db"
    first = Database(url)
    with first.read() as connection:  # stays open, as a thread's does that looks again and again
        connection.execute(text("SELECT 1"))
        second = Database(url)
        assert read_elsewhere(url) == 0
        assert (tmp_path / "hoonify.db-wal").exists()
    for number in (1, 2):
        with second.write() as connection:
            connection.execute(text("UPDATE api_key_changes SET number = number + 1"))
        assert read_elsewhere(url) == number
    first.close()
    second.close()


def test_the_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    """Hashes of keys are nobody's business."""
    Database(f"sqlite:///{tmp_path}/new/hoonify.db").close()
    assert (tmp_path / "new" / "hoonify.db").stat().st_mode & 0o777 == 0o600


def test_the_newest_version_is_known_by_its_name(tmp_path: Path) -> None:
    """Whoever finds it needs no alembic, which takes long to import."""
    url = f"sqlite:///{tmp_path}/hoonify.db"
    database = Database(url)
    with database.read() as connection:
        present = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    database.close()
    assert present == newest_version()
    code = (
        "import sys; from hoonify_plugins.database.opening import Database;"
        "Database(sys.argv[1]).close(); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=60)


def test_threads_bring_their_databases_up_to_date_side_by_side(tmp_path: Path) -> None:
    """As those of a supervisor do, one for keys and one for usage; none disturbs another."""
    urls = [f"sqlite:///{tmp_path}/{number}.db" for number in range(8)]
    together = threading.Barrier(len(urls))

    def open_one(url: str) -> str:
        together.wait(30)
        database = Database(url)
        try:
            with database.read() as connection:
                found = connection.execute(text("SELECT version_num FROM alembic_version"))
                return str(found.scalar())
        finally:
            database.close()

    with ThreadPoolExecutor(len(urls)) as threads:
        assert set(threads.map(open_one, urls)) == {newest_version()}
