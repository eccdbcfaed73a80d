"""F, the floor all engine costs are given in: validate one 3-field pydantic model, hash its JSON, keep it in a dict."""

import time
from hashlib import blake2b

from pydantic import BaseModel


class Three(BaseModel):
    """A model of three whole numbers."""

    a: int
    b: int
    c: int


def floor_seconds(count: int = 20_000, rounds: int = 3) -> float:
    """Process CPU seconds for one F, the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        kept = {}
        began = time.process_time()
        for number in range(count):
            model = Three(a=1, b=2, c=number)
            kept[blake2b(model.model_dump_json().encode()).digest()] = model
        best = min(best, (time.process_time() - began) / count)
    return best
