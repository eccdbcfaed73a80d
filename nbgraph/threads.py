"""The way torch's threads wait for each other on the CPU."""

import os

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables by which a person chooses how OpenMP's threads wait."""


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, unless a person chose how: by one of `WAITING`.

    By default they spin. Where other programs want the same cores, a thread that has work then waits for those that
    spin for it: 20 steps of the shipped model took 25 to 56 s beside other work on two cores, and 0.6 to 3 s so.
    OpenMP reads the variable when it is loaded, so this has no effect once torch has been imported.
    """
    if not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
