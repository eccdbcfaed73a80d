"""The drawings and their names: every single-code-point picture of Noto Color Emoji that Unicode names in six blocks.

A *drawing* is one code point. The *core* is five runs of code points, 284 drawings of what people draw first: faces,
animals, food and drink, transport, and sky and landscape.
"""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch.nn.functional import interpolate

from .nets import from_array

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")  # Debian: fonts-noto-color-emoji
BITMAP_SIZE = 109  # the only size the font holds
CANVAS, MARGIN = 64, 2  # pixels
LARGE = 128  # pixels of the canvas that `layers` fills, twice as fine

BLOCKS = (
    (0x1F300, 0x1F5FF),  # symbols and pictographs
    (0x1F600, 0x1F64F),  # emoticons
    (0x1F680, 0x1F6FF),  # transport and map
    (0x1F900, 0x1F9FF),  # supplemental symbols and pictographs
    (0x1FA70, 0x1FAFF),  # symbols and pictographs, extended
    (0x2600, 0x27BF),  # miscellaneous symbols, dingbats
)
CORE = (
    (0x1F600, 0x1F644),  # faces
    (0x1F400, 0x1F43F),  # animals
    (0x1F32D, 0x1F37F),  # food and drink
    (0x1F680, 0x1F6A2),  # transport
    (0x1F300, 0x1F320),  # sky and landscape
)
ALIASES = {  # what people type, for drawings whose Unicode name nobody would guess
    "heart": 0x2764, "red heart": 0x2764, "sun": 0x2600, "moon": 0x1F319, "car": 0x1F697, "phone": 0x1F4F1,
    "laptop": 0x1F4BB, "computer": 0x1F4BB, "plane": 0x2708, "bike": 0x1F6B2, "motorcycle": 0x1F3CD, "house": 0x1F3E0,
    "tree": 0x1F333, "robot": 0x1F916, "eggplant": 0x1F346, "corn": 0x1F33D, "donut": 0x1F369, "chili": 0x1F336,
    "burger": 0x1F354, "fries": 0x1F35F, "coffee": 0x2615, "cup of coffee": 0x2615, "tea": 0x1F375, "cake": 0x1F382,
    "pizza": 0x1F355, "smile": 0x1F642, "smiley": 0x1F600, "alien": 0x1F47D, "poo": 0x1F4A9, "gift": 0x1F381,
    "truck": 0x1F69A, "cheese": 0x1F9C0, "bee": 0x1F41D, "ladybug": 0x1F41E, "lightning": 0x26A1,
    "light bulb": 0x1F4A1, "book": 0x1F4D6, "clock": 0x1F570, "dice": 0x1F3B2, "pumpkin": 0x1F383, "santa": 0x1F385,
    "wine": 0x1F377, "beer": 0x1F37A, "football": 0x26BD,
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """One picture of the font: its code point, its Unicode name in lower case, and whether it is core."""

    code_point: int
    name: str

    @property
    def is_core(self) -> bool:
        """Whether it belongs to the faces, animals, food, transport and sky that must never fail."""
        return any(first <= self.code_point <= last for first, last in CORE)


def drawings(font: Path = FONT) -> list[Drawing]:
    """List every drawing that the font holds and Unicode names, in code point order (1,267 with Noto of 2022)."""
    face = ImageFont.truetype(str(font), BITMAP_SIZE)
    found: list[Drawing] = []
    for first, last in BLOCKS:
        for code_point in range(first, last + 1):
            name = unicodedata.name(chr(code_point), "").lower()
            if name and face.getmask(chr(code_point), mode="RGBA").getbbox():
                found.append(Drawing(code_point, name))
    return found


def all_names(listed: list[Drawing]) -> list[list[str]]:
    """Return for each drawing its Unicode name, then its aliases."""
    return [[drawing.name, *(word for word, at in ALIASES.items() if at == drawing.code_point)] for drawing in listed]


def picture(drawing: Drawing, font: Path = FONT) -> Image.Image:
    """Return the drawing on a transparent ground, cropped to what is drawn; at most 136x128 pixels."""
    canvas = Image.new("RGBA", (160, 160), (255, 255, 255, 0))
    face = ImageFont.truetype(str(font), BITMAP_SIZE)
    ImageDraw.Draw(canvas).text((8, 8), chr(drawing.code_point), font=face, embedded_color=True)
    return canvas.crop(canvas.getbbox())


def scaled(drawn: Image.Image, side: int) -> tuple[Image.Image, tuple[int, int]]:
    """Return a cropped drawing, its longer side filling all but a margin of a square canvas, and its upper left corner.

    The colours of the result are multiplied by its opacity.
    """
    scale = side * (CANVAS - 2 * MARGIN) / CANVAS / max(drawn.size)
    size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
    return drawn.convert("RGBa").resize(size, Image.Resampling.LANCZOS), ((side - size[0]) // 2, (side - size[1]) // 2)


def place(drawn: Image.Image) -> Image.Image:
    """Put a cropped drawing in the middle of the white canvas, its longer side filling all but a margin."""
    resized, corner = scaled(drawn, CANVAS)
    opaque = resized.convert("RGBA")
    canvas = Image.new("RGB", (CANVAS, CANVAS), "white")
    canvas.paste(opaque, corner, opaque)
    return canvas


def canvases(listed: list[Drawing], font: Path = FONT) -> torch.Tensor:
    """Return all drawings: uint8, (drawings, 3, 64, 64)."""
    rows = [np.asarray(place(picture(drawing, font))) for drawing in listed]
    return from_array(np.stack(rows)).permute(0, 3, 1, 2).contiguous()


def layers(listed: list[Drawing], font: Path = FONT) -> torch.Tensor:
    """Return all drawings on transparent ground: uint8, (drawings, 4, 128, 128), colours multiplied by opacity."""
    stacked = torch.zeros(len(listed), 4, LARGE, LARGE, dtype=torch.uint8)
    for index, drawing in enumerate(listed):
        resized, (left, top) = scaled(picture(drawing, font), LARGE)
        rows = from_array(np.asarray(resized).copy()).permute(2, 0, 1)
        stacked[index, :, top : top + resized.height, left : left + resized.width] = rows
    return stacked


def to_signed(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 pixels -> float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def halved(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures (n, 3, side, side) in [0, 1] at half their size."""
    return interpolate(pictures, scale_factor=0.5, mode="bicubic", antialias=True).clamp(0, 1)
