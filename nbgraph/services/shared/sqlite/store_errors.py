"""Errors of the operating system and of SQLite, translated into errors that say what to do."""

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nbgraph.errors import StoreBusyError, StoreCorruptError, StoreError, StoreFullError, StoreReadOnlyError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_UNREADABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}


@contextmanager
def translate_errors(path: Path) -> Generator[None]:
    """Raise errors of SQLite and of the operating system inside the block as `StoreError`s that name `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise database_error(error, path) from error
    except OSError as error:
        raise file_error(error, path) from error


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether trying again may help."""
    return _primary_code(error) in _BUSY


def database_error(error: sqlite3.Error, path: Path) -> Exception:
    """Return the `StoreError` for an error of SQLite; the error itself where only a bug of nbgraph explains it."""
    # extended codes only say more about the primary one, which is in their lowest byte
    code = _primary_code(error)
    if code in _BUSY:
        return StoreBusyError(f"{path} is locked by another program ({error}); try again when it has finished")
    if code in _CORRUPT:
        return corrupt_error(path, str(error))
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(f"no room to write {path} ({error}); free some space, then run again: nothing is lost")
    if code in _READ_ONLY:
        return _read_only(path, str(error))
    if code in _UNREADABLE:
        return StoreError(f"{path} cannot be opened or read ({error}); check that the folder and the disk are there")
    return error


def file_error(error: OSError, path: Path) -> StoreError:
    """Return the `StoreError` for an error of the operating system."""
    where = shown_path(error.filename or path)
    if error.errno in _FULL:
        return StoreFullError(f"no room to write {where} ({error.strerror}); free some space, then run again")
    if error.errno in _FORBIDDEN:
        return _read_only(where, error.strerror or "")
    return StoreError(
        f"{where} cannot be used ({error.strerror or error}); check that the folder and the disk are there"
    )


def shown_path(path: object, longest: int = 200) -> str:
    """Return a path for an error message, without the middle of one that is too long for a line."""
    text = str(path)
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}...{text[-longest // 2 :]} ({len(text):,} characters)"


def corrupt_error(path: Path, reason: str) -> StoreCorruptError:
    """Return the error for a damaged database, with the way to restore it."""
    backups = sorted((path.parent / "backups").glob("*.db"))
    newest = f"the newest backup is {backups[-1]}" if backups else "there is no backup"
    return StoreCorruptError(
        f"{path} is damaged ({reason}) and was left as it is; {newest}. Close every kernel that uses the folder, then "
        "`nbgraph.services.shared.sqlite.migrations.restore_backup(folder)` sets the damaged file aside and puts the "
        "backup in its place; without a backup, open another folder: the pictures in images/ are ordinary PNG files"
    )


def _read_only(path: object, reason: str) -> StoreReadOnlyError:
    return StoreReadOnlyError(
        f"{path} may not be written ({reason}); give the folder write permission, or open a studio in another folder"
    )


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", -1) & 0xFF
