"""Where sessions go: the rules for choosing workers, and for starting them on one machine. Nothing here calls Dask."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

THREAD_VARIABLES: tuple[str, ...] = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
GPU = "GPU"


class Placement(NamedTuple):
    """Where a task may run: on `workers` only, on any if there are none; `any_other` allows others if these are gone.

    `first` is the worker that may begin it without asking, "" where Dask chooses.
    """

    first: str
    workers: list[str]
    any_other: bool


def usable_workers(resources: Mapping[str, Mapping[str, float]], problems: Mapping[str, str]) -> list[str]:
    """Return the workers that may get sessions: those without a problem, and, if any offers a GPU, with a GPU.

    Parameters
    ----------
    resources
        What each worker offers, by address.
    problems
        Why a worker cannot be used, by address; "" or nothing if it can.
    """
    has_gpus = any(GPU in offered for offered in resources.values())
    return [each for each, offered in resources.items() if not problems.get(each) and (GPU in offered or not has_gpus)]


def place(
    wanted: AbstractSet[str],
    idle: Sequence[str],
    usable: Sequence[str],
    held: Mapping[str, AbstractSet[str]],
    known: int,
) -> Placement:
    """Choose a worker: an idle one that holds the models, else an idle one; Dask chooses where none is idle.

    Parameters
    ----------
    wanted
        The fingerprints of the models that the session needs.
    idle
        Workers that have nothing to do.
    usable
        Workers that may get sessions.
    held
        The fingerprints of the models that are in memory, by worker.
    known
        The number of all workers.
    """
    # of the idle ones without all models, the one with the most of them
    ranked = sorted(idle, key=lambda each: -len(wanted & held.get(each, frozenset())))
    are_all_usable = len(usable) == known
    if ranked:
        return Placement(ranked[0], [ranked[0]], are_all_usable)
    return Placement("", [] if are_all_usable else list(usable), False)


class LocalWorker(NamedTuple):
    """How a worker on this machine is started."""

    environment: dict[str, str]
    resources: dict[str, float]


def local_workers(gpus: Sequence[str], cores: int, threads: str) -> list[LocalWorker]:
    """Return the workers of a cluster on this machine: one for each GPU, or for two cores where there is none.

    Parameters
    ----------
    gpus
        The GPUs, as `CUDA_VISIBLE_DEVICES` names them.
    cores
        The number of cores.
    threads
        Torch's threads in each worker, as a person set them; "" divides the cores among the workers.
    """
    count = len(gpus) or max(1, cores // 2)
    common: dict[str, str] = dict.fromkeys(THREAD_VARIABLES, threads or str(max(1, cores // count)))
    if not gpus:
        return [LocalWorker(dict(common), {}) for _ in range(count)]
    return [LocalWorker({**common, "CUDA_VISIBLE_DEVICES": gpu}, {GPU: 1.0}) for gpu in gpus]


def named_gpus(variable: str) -> list[str]:
    """Return the GPUs in the value of `CUDA_VISIBLE_DEVICES`: those before the first that is none, as CUDA reads it."""
    found: list[str] = []
    for each in variable.split(","):
        name = each.strip()
        if not name or name.startswith("-"):
            break
        found.append(name)
    return found
