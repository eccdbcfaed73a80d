"""The zip file of exported runs: which members it may have, how large they may be, and how it is written and read.

    manifest.json   runs/00001.json   library/00001.json   documents/00001.json   images/<name>.png
    tensors/<name>.safetensors

Every name is made here or checked against this form, nothing is unpacked to a path, and no member is read beyond its
declared size and the limit of its kind. So reading a hostile file cannot write to other places or fill the memory.
"""

import json
import os
import re
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from os.path import lexists
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import TypeAdapter, ValidationError

from nbgraph.errors import ArchiveError
from nbgraph.services.shared.sqlite.store_errors import shown_path

FORMAT = 2
"""1 had no documents."""
MANIFEST = "manifest.json"
MEMBER = re.compile(
    r"manifest\.json|(?P<kind>runs|library|documents|images|tensors)/"
    r"((?<=runs/|rary/|ents/)[0-9]{5,7}\.json|(?<=images/)[0-9a-f]{32}\.png|(?<=ensors/)[0-9a-f]{32}\.safetensors)"
)
MAX_MEMBERS = 1_000_000
MAX_BYTES: Mapping[str | None, int] = {
    None: 256 * 2**20,
    "runs": 256 * 2**20,
    "library": 64 * 2**20,
    "documents": 256 * 2**20,
    "images": 512 * 2**20,
    "tensors": 4 * 2**30,
}
"""The largest size of a member in bytes, by its folder; None is the manifest."""
MAX_TOTAL = 256 * 2**30
ENCRYPTED = 1
_OBJECT = TypeAdapter(dict[str, object])


class ArchiveWriter:
    """Writes members one by one."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive

    def write_json(self, member: str, value: object) -> None:
        """Write values as JSON."""
        self._archive.writestr(member, json.dumps(value, ensure_ascii=False), ZIP_DEFLATED)

    def write_bytes(self, member: str, data: bytes) -> None:
        """Write bytes without compression: PNG is compressed, and tensors hardly get smaller."""
        self._archive.writestr(member, data, ZIP_STORED)


@contextmanager
def new_archive(path: str | PathLike[str]) -> Generator[ArchiveWriter]:
    """Write an archive beside `path` in the block, and rename it to `path` at the end.

    Raises
    ------
    ArchiveError
        Something exists at `path`, or it cannot be written.
    """
    target = Path(path).expanduser().absolute()
    if lexists(target):
        raise ArchiveError(f"{str(target)!r} exists already; give another name")
    # in the same folder, because a rename to another filesystem is not atomic
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with ZipFile(part, "x") as archive:
            yield ArchiveWriter(archive)
        part.replace(target)
    except OSError as error:
        raise ArchiveError(f"{shown_path(target)!r} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


class ArchiveReader:
    """Reads the members of an archive, all of which are checked first.

    Parameters
    ----------
    archive
        The open zip file.
    name
        Its name, for errors.

    Raises
    ------
    ArchiveError
        It is not an archive of nbgraph, is damaged, or was written by a newer version.
    """

    def __init__(self, archive: ZipFile, name: str) -> None:
        self._archive, self._name = archive, name
        self._members = _checked_members(archive, name)
        # all members before the first is used, so that a damaged archive is refused as a whole
        for member in self._members:
            self._check_crc(member)
        try:
            self.manifest = _OBJECT.validate_python(self.read_json(MANIFEST))
        except ValidationError:
            self.manifest = {}
        found = self.manifest.get("format")
        if not isinstance(found, int) or found < 1:
            raise ArchiveError(f"{name!r} is not an archive of nbgraph: its manifest names no format")
        if found > FORMAT:
            text = f"{name!r} was written by a newer nbgraph (archive format {found}; this one reads up to {FORMAT})"
            raise ArchiveError(f"{text}; upgrade nbgraph")

    def members(self, kind: str) -> list[str]:
        """Return the names of the members of a kind, sorted."""
        return sorted(name for name in self._members if name.startswith(f"{kind}/"))

    def read_json(self, member: str) -> object:
        """Return the values of a member.

        Raises
        ------
        ArchiveError
            The member is missing, or is not JSON.
        """
        try:
            return json.loads(self.read_bytes(member))
        except (ValueError, RecursionError) as error:
            raise self._damaged(member, error) from None

    def read_bytes(self, member: str) -> bytes:
        """Return the bytes of a member.

        Raises
        ------
        ArchiveError
            The member is missing or damaged.
        """
        info = self._members.get(member)
        if info is None:
            raise ArchiveError(f"{self._name!r} lacks {member}; export it again")
        try:
            with self._archive.open(info) as stream:
                # one byte more than declared: at the end of the data zipfile compares the CRC
                return stream.read(info.file_size + 1)
        except (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise self._damaged(member, error) from None

    def _check_crc(self, member: str) -> None:
        """Read a member to its end in small parts; `zipfile` compares its CRC there."""
        try:
            with self._archive.open(self._members[member]) as stream:
                while stream.read(2**20):
                    pass
        except (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise self._damaged(member, error) from None

    def _damaged(self, member: str, error: Exception) -> ArchiveError:
        return ArchiveError(f"{self._name!r} is damaged at {member} ({error}); nothing was imported; get it again")


@contextmanager
def opened_archive(path: str | PathLike[str]) -> Generator[ArchiveReader]:
    """Open an archive for the block, after reading all of it once.

    Raises
    ------
    ArchiveError
        The file does not exist, or is not an intact archive.
    """
    source = Path(path).expanduser()
    try:
        archive = ZipFile(source)
    except FileNotFoundError:
        raise ArchiveError(f"there is no file {shown_path(source)!r} (looked in {Path.cwd()})") from None
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        text = f"{shown_path(source)!r} is not a readable zip file ({reason})"
        raise ArchiveError(f"{text}; studio.export writes one") from None
    with archive:
        yield ArchiveReader(archive, str(source))


def _checked_members(archive: ZipFile, name: str) -> dict[str, ZipInfo]:
    found = archive.infolist()
    if len(found) > MAX_MEMBERS:
        raise ArchiveError(f"{name!r} has {len(found):,} members; an archive has at most {MAX_MEMBERS:,}")
    members: dict[str, ZipInfo] = {}
    total = 0
    for info in found:
        form = MEMBER.fullmatch(info.filename)
        shown = repr(info.filename[:80])
        if form is None:
            raise ArchiveError(f"{name!r} has a member {shown}, which no archive of nbgraph has; nothing was imported")
        if info.filename in members:
            raise ArchiveError(f"{name!r} has the member {shown} twice; nothing was imported")
        if info.flag_bits & ENCRYPTED or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            text = f"the member {shown} of {name!r} is encrypted or compressed in an unknown way"
            raise ArchiveError(f"{text}; write an archive with studio.export")
        limit = MAX_BYTES[form["kind"]]
        # declared sizes, so that a file is refused before a byte of it is unpacked
        total += info.file_size
        if info.file_size > limit or total > MAX_TOTAL:
            raise ArchiveError(
                f"the member {shown} of {name!r} has {info.file_size:,} bytes; at most {limit:,} are read"
            )
        members[info.filename] = info
    return members
