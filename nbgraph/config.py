"""Settings from keyword arguments, else `NBGRAPH_...` environment variables, else a `.env` file."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nbgraph.errors import SettingsError, suggest
from nbgraph.texts import value_text

PREFIX = "NBGRAPH_"
OffloadMode = Literal["auto", "none", "component", "streaming"]
RecipeParts = Literal["all", "without prompts", "none"]
"""The parts of its recipe that a saved image carries."""


class Settings(BaseSettings):
    """Settings of a studio; each field is also an environment variable.

    `Settings(device="cpu")` and `NBGRAPH_DEVICE=cpu` do the same; a list is JSON in the environment, `["/models"]`.

    Raises
    ------
    SettingsError
        Settings are unknown or have invalid values; all of them are named.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore")

    device: str | None = Field(default=None, description="torch device for models; None picks cuda, then mps, then cpu")
    dtype: str | None = Field(
        default=None, description="torch dtype for models, such as 'float16'; None picks by device"
    )
    threads: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(
        default=None,
        description="torch's threads on the CPU; None: torch's own number; auto: one for a small model",
    )
    model_folders: Annotated[list[Path], NoDecode] = Field(
        default=[], description="folders with models, at any depth: diffusers folders and single files"
    )
    cache_entries: int = Field(default=10_000_000, ge=0, description="invocation cache: entries kept; 0 turns it off")
    cache_bytes: int = Field(default=4 * 2**30, ge=0, description="invocation cache: bytes of outputs kept")
    model_ram_bytes: int | None = Field(default=None, ge=0, description="RAM for models; None is half of the machine's")
    model_vram_bytes: int | None = Field(
        default=None, ge=0, description="VRAM for models; None is all but a working share"
    )
    offload: OffloadMode = Field(
        default="auto",
        description="where models are while they compute: 'none' on the device for good, 'component' while they are "
        "used, 'streaming' block by block; 'auto' chooses by free memory",
    )
    max_iterations: int = Field(default=1_000_000, ge=1, description="prepared nodes that one source node may become")
    batch_size: int = Field(
        default=8, ge=1, description="nodes of one kind that run in one call; 1 runs each by itself"
    )
    batch_pixels: int = Field(
        default=8 * 512 * 512, ge=1, description="pixels of all pictures that are drawn in one call"
    )
    max_sessions: int = Field(default=10_000, ge=1, description="sessions that one batch may become")

    intermediate_bytes: int | None = Field(
        default=8 * 2**30, ge=0, description="bytes of tensors and intermediate pictures kept; None is no limit"
    )
    intermediate_days: float | None = Field(
        default=30, ge=0, description="days that tensors and intermediate pictures are kept; None is no limit"
    )
    session_bytes: int | None = Field(
        default=256 * 2**20, ge=0, description="bytes of runs kept that have ended; None is no limit"
    )
    session_days: float | None = Field(
        default=90, ge=0, description="days that runs are kept that have ended; None is no limit"
    )
    stats_bytes: int | None = Field(default=256 * 2**20, ge=0, description="bytes of stats kept; None is no limit")
    stats_days: float | None = Field(default=90, ge=0, description="days that stats are kept; None is no limit")
    picture_bytes: int | None = Field(
        default=None, ge=0, description="bytes of pictures kept, those with a star not counted; None is no limit"
    )
    picture_days: float | None = Field(
        default=None, ge=0, description="days that pictures without a star are kept; None is no limit"
    )
    memory_runs: int = Field(
        default=100, ge=0, description="runs that a studio in memory keeps beside those that are held"
    )

    orphan_days: float = Field(
        default=1, ge=0, description="days after which a file in the folder that belongs to nothing is removed"
    )
    recipes: RecipeParts = Field(default="all", description="what saved pictures carry of how they were made")

    def __init__(self, **given: Any) -> None:
        # Unknown variables of the environment are ignored, as other programs share it; a misspelt argument is not.
        fields = type(self).model_fields
        unknown = [name for name in given if name not in fields and not name.startswith("_")]
        if unknown:
            raise SettingsError([f"there is no setting {name!r}{suggest(name, fields)}" for name in unknown])
        try:
            super().__init__(**given)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            raise SettingsError([_refusal(each, given) for each in found]) from None

    @field_validator("model_folders", mode="before")
    @classmethod
    def _read_folders(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        # A variable of the environment: pydantic's own error would speak of JSON and not of the list.
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError(f"write a list as JSON, {json.dumps([value])}") from None


def _refusal(found: Any, given: dict[str, Any]) -> str:
    """Return pydantic's finding about a setting, under the name by which it was given, with the setting's purpose."""
    # People search for the name that they wrote: the argument, or the variable of the environment.
    name = str(found["loc"][0])
    shown = name if name in given else f"{PREFIX}{name.upper()}"
    reason = found["msg"].removeprefix("Value error, ")
    purpose = Settings.model_fields[name].description
    return f"{shown} cannot be {value_text(found['input'])}: {reason[0].lower()}{reason[1:]} ({purpose})"
