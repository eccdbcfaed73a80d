"""Fingerprints of model files: hashes of their content, wherever they are and whatever they are called.

A fingerprint is a hash of all bytes of a model's files. Reading gigabytes takes seconds, so the hash of a file is kept
as long as the file keeps its identity: device, inode, size, and the times of its last change of content (mtime) and of
anything at all (ctime). A program can set mtime back, but not ctime, and a file that replaces another has another
inode. Two rules cover the remaining cases: a file that changed within the last two seconds is hashed again next time,
as its next change may get the same times; and hashing starts over when a file changes meanwhile. Only a file system
without ctime (Windows, some network folders) hides a write in place that also restores mtime.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from os.path import exists
from pathlib import Path

from platformdirs import user_cache_path

from nbgraph.errors import ModelError, ModelNotFoundError

_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".tiktoken", ".safetensors"}
_LARGE_BYTES = 64 * 2**20
"""Hashes of files from this size on are also kept on disk, for the next kernel."""
_SETTLED_NS = 2 * 10**9
"""The coarsest times a file system in use keeps: two writes closer to each other may leave the same times."""
_MAX_KNOWN = 4096

Identity = tuple[int, int, int, int, int]
_known: dict[tuple[str, Identity], str] = {}


def resolve_folder(path: str | Path) -> Path:
    """Return the file or folder that `path` names: itself, or the snapshot of that id in the local hub cache.

    The network is never used.

    Raises
    ------
    ModelNotFoundError
        There is neither; the error says how to get it.
    """
    local = Path(path).expanduser()
    if exists(local):
        return local.resolve()
    if str(path).count("/") == 1 and not str(path).startswith(("/", ".", "~")):
        return _hub_snapshot(str(path))
    raise ModelNotFoundError(
        f"there is no model at {str(path)[:200]!r}: no such file or folder. Give the folder of a model "
        "in the diffusers layout (the one that holds model_index.json)"
    )


def fingerprint_path(path: str | Path) -> str:
    """Return a hex fingerprint of the content of a model folder or of one file, equal for equal content anywhere.

    A hash over the relative names, the sizes and all bytes (SHA-256) of config, vocabulary and safetensors files; links
    to files and folders count as what they lead to, hidden names do not count. Hashes are kept by `file_identity`.
    `ModelNotFoundError` without such files, `ModelError` for a file that keeps changing while it is read.
    """
    root = resolve_folder(path)
    files = {"": str(root)} if root.is_file() else dict(_model_files(str(root)))
    if not files:
        raise ModelNotFoundError(f"the folder {str(path)!r} holds no model files (none of {sorted(_SUFFIXES)})")
    names = sorted(files, key=lambda name: name.split("/"))
    digest = hashlib.blake2b(digest_size=16)
    for name, (size, content) in zip(names, _digests([files[name] for name in names]), strict=True):
        digest.update(f"{name}\0{size}\0{content}\n".encode())
    return digest.hexdigest()


def sha256_of(path: str) -> str:
    """Return the SHA-256 of one file in hex digits; it is read only if it was not since its last change."""
    return _digest_file(path)[1]


def known_sha256(path: str) -> str:
    """Return the SHA-256 of one file as far as it costs no time: "" for a large one that was not hashed yet."""
    identity = file_identity(path)
    if identity[2] < _LARGE_BYTES:
        return sha256_of(path)
    return _known.get((path, identity)) or _read_kept(path, identity) or ""


def check_unchanged(path: str, fingerprint: str) -> None:
    """Raise `ModelError` if the files at `path` no longer have that fingerprint; called when they have been loaded."""
    if fingerprint_path(path) != fingerprint:
        raise ModelError(
            f"the files of {path!r} were changed after this run had looked at them, so its results would be "
            "stored under the hash of the earlier files; run it again"
        )


def file_identity(path: str | Path) -> Identity:
    """Return the identity of a file, without reading it: device, inode, size, mtime and ctime."""
    return _identity(os.stat(path))


def _identity(state: os.stat_result) -> Identity:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _model_files(
    folder: str, prefix: str = "", above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[str, str]]:
    """Yield (relative name, path) of the files that count; a link to a folder it lies in is not followed."""
    state = os.stat(folder)
    here = state.st_dev, state.st_ino
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _model_files(entry.path, f"{prefix}{entry.name}/", above | {here})
            elif os.path.splitext(entry.name)[1] in _SUFFIXES and entry.is_file():
                yield prefix + entry.name, entry.path


def _digests(paths: list[str]) -> list[tuple[int, str]]:
    """Return (size, digest) of each file.

    Several large ones are hashed at once, since hashing releases the interpreter.
    """
    if sum(os.stat(path).st_size >= _LARGE_BYTES for path in paths) < 2:
        return [_digest_file(path) for path in paths]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(_digest_file, paths))


def _digest_file(path: str) -> tuple[int, str]:
    identity = file_identity(path)
    known = _known.get((path, identity)) or _read_kept(path, identity)
    if known is None:
        identity, known = _hash_whole(path)
    return identity[2], known


def _hash_whole(path: str) -> tuple[Identity, str]:
    """Hash a file until it has not changed meanwhile; keep the hash if its next change is certain to be noticed."""
    for _ in range(3):
        started = time.time_ns()
        with open(path, "rb") as stream:
            before = _identity(os.fstat(stream.fileno()))
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if file_identity(path) == before:
            if max(before[3:]) < started - _SETTLED_NS:
                _keep(path, before, digest)
            return before, digest
    raise ModelError(
        f"{path!r} changes while it is read: something writes to it. Wait until that is done, and run again"
    )


def _keep(path: str, identity: Identity, digest: str) -> None:
    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    _known[path, identity] = digest
    if identity[2] < _LARGE_BYTES:
        return
    file = _kept_file(path, identity)
    written = file.with_name(f"{file.name}.{os.getpid()}")
    with suppress(OSError):  # where the cache folder cannot be written to, the next kernel hashes again
        file.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(digest)
        written.replace(file)


def _read_kept(path: str, identity: Identity) -> str | None:
    if identity[2] < _LARGE_BYTES:
        return None
    try:
        digest = _kept_file(path, identity).read_text()
        is_digest = len(bytes.fromhex(digest)) == hashlib.sha256().digest_size
    except (OSError, ValueError):
        return None
    return _known.setdefault((path, identity), digest) if is_digest else None


def _kept_file(path: str, identity: Identity) -> Path:
    """Return the file that keeps the hash of the file of that path and identity."""
    name = hashlib.blake2b(f"{path}\0{identity}".encode(), digest_size=16).hexdigest()
    return user_cache_path("nbgraph") / "fingerprints" / name


def _hub_snapshot(repository: str) -> Path:
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError) as error:
        shown = repository if len(repository) < 200 else f"{repository[:100]}...{repository[-80:]}"
        raise ModelNotFoundError(
            f"there is no model {shown!r}: no such folder, and no repository of that name in the local hub cache. "
            f"Give the path of a folder, or fetch it first: hf download {shown}"
        ) from error
