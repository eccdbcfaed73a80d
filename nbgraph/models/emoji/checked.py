"""What the commands of this folder check of their arguments, so that a mistake is told at once and in one line."""

from argparse import ArgumentTypeError
from pathlib import Path

from PIL import Image, ImageFont

from . import data
from .nets import autoencoder_config

BLOCKS = 3  # of the decoder of 64 pixels; that of 128 has one more


def font(text: str) -> Path:
    """Return the path of a font that holds the bitmaps."""
    try:
        ImageFont.truetype(text, data.BITMAP_SIZE)
    except OSError as error:
        raise ArgumentTypeError(
            f"no Noto Color Emoji with bitmaps at {text} (Debian: fonts-noto-color-emoji): {error}"
        ) from error
    return Path(text)


def folder_to_write(text: str) -> Path:
    """Return the path of a folder that exists or can be made."""
    path = Path(text)
    for parent in (path, *path.parents):
        if parent.exists() and not parent.is_dir():
            raise ArgumentTypeError(f"{parent} is a file, not a folder")
    return path


def file_to_write(text: str) -> Path:
    """Return the path of a file whose folder exists."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise ArgumentTypeError(f"{path} is a folder" if path.is_dir() else f"there is no folder {path.parent}")
    return path


def picture_to_write(text: str) -> Path:
    """Return the path of a picture whose folder exists, with an ending that Pillow knows."""
    path = file_to_write(text)
    if path.suffix.lower() not in Image.registered_extensions():
        raise ArgumentTypeError(f"{path} does not end like a picture: .png, .webp")
    return path


def model(text: str) -> Path:
    """Return the folder of an exported model."""
    return folder_with(text, "model_index.json")


def model_of_64(text: str) -> Path:
    """Return the folder of an exported model whose pictures are 64 pixels wide."""
    path = folder_with(
        text, "vae/config.json", "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"
    )
    if not draws_64(path / "vae"):
        raise ArgumentTypeError(f"{path} draws 128 pixels; give a model of 64, as the work folder begins with one")
    return path


def autoencoder_of_64(text: str) -> Path:
    """Return the folder of the autoencoder of 64 pixels."""
    path = folder_with(text, "config.json")
    if not draws_64(path):
        raise ArgumentTypeError(f"{path} draws 128 pixels; give the autoencoder of 64")
    return path


def folder_with(text: str, *files: str) -> Path:
    """Return the path of a folder that holds these files."""
    path = Path(text)
    for file in files:
        if not (path / file).is_file():
            raise ArgumentTypeError(f"{path} is not the folder wanted: it has no {file}")
    return path


def draws_64(folder: Path) -> bool:
    """Whether the autoencoder in a folder draws 64 pixels."""
    return len(autoencoder_config(folder).get("decoder_block_out_channels", ())) == BLOCKS


def above_zero(text: str) -> float:
    """Return a number above zero."""
    number = float(text)
    if not number > 0:
        raise ArgumentTypeError(f"{text} is not above zero")
    return number


def count(text: str) -> int:
    """Return a whole number of one or more."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is less than one")
    return number
