"""Settings, from keyword arguments, `NBGRAPH_...` environment variables or a `.env` file, in that order."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a person may want to set for a studio; every field is also an environment variable.

    `Settings(device="cpu")` and `NBGRAPH_DEVICE=cpu` do the same.
    """

    model_config = SettingsConfigDict(env_prefix="NBGRAPH_", env_file=".env", extra="ignore")

    device: str | None = Field(default=None, description="torch device for models; None picks cuda, then mps, then cpu")
    dtype: str | None = Field(
        default=None, description="torch dtype for models, such as 'float16'; None picks by device"
    )
    model_folders: list[Path] = Field(default=[], description="folders whose subfolders are models in diffusers layout")
    cache_entries: int = Field(default=10_000_000, ge=0, description="invocation cache: entries kept; 0 turns it off")
    cache_bytes: int = Field(default=4 * 2**30, ge=0, description="invocation cache: bytes of outputs kept")
    model_ram_bytes: int | None = Field(default=None, ge=0, description="RAM for models; None is half of the machine's")
    model_vram_bytes: int | None = Field(
        default=None, ge=0, description="VRAM for models; None is all but a working share"
    )
    max_iterations: int = Field(default=1_000_000, ge=1, description="prepared nodes that one source node may become")
    batch_size: int = Field(
        default=8, ge=1, description="nodes of one kind that run in one call; 1 runs each by itself"
    )
    batch_pixels: int = Field(
        default=8 * 512 * 512, ge=1, description="pixels of all pictures that are drawn in one call"
    )
    max_sessions: int = Field(default=10_000, ge=1, description="sessions that one batch may become")
