"""The drawings and their names: every single-code-point picture of Noto Color Emoji that Unicode names in six blocks.

A *drawing* is one code point. A *placement* is one way to put a drawing on the 64x64 canvas (size and shift), and half
of the copies are mirrored where a mirror image still means the same. Drawings, placements and mirrors are all the
variety the model is trained on, so they are also the set a generated picture is compared with (see `evaluate`).
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")  # Debian: fonts-noto-color-emoji
BITMAP_SIZE = 109  # the only size the font holds
CANVAS = 64  # pixels

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
PLACEMENTS = (  # (longer side, shift right, shift down), pixels
    (60, 0, 0),
    (56, -3, 1),
    (56, 3, -1),
    (52, 0, 2),
)
# A drawing is never mirrored when its name holds one of these words: text, digits, directions, maps.
ONE_WAY = {
    "abc", "aesculapius", "anticlockwise", "aries", "arrow", "arrows", "atm", "back", "badge", "bank", "banknote",
    "billiards", "book", "bookmark", "books", "calendar", "cancer", "capricorn", "card", "chart", "check",
    "clapper", "clock", "clockwise", "crescent", "curly", "currency", "dharma", "digits", "division", "dollar",
    "double", "earth", "eighteen", "end", "english", "envelope", "exchange", "exclamation", "facing", "fax",
    "gemini", "gibbous", "globe", "hammer", "hospital", "hotel", "hundred", "input", "japan", "japanese",
    "keyboard", "keycap", "latin", "ledger", "left", "leftwards", "leo", "letter", "letters", "libra", "litter",
    "lock", "magnifying", "map", "medal", "memo", "minidisc", "musical", "name", "newspaper", "note", "notebook",
    "notes", "numbers", "office", "om", "on", "oncoming", "one", "ophiuchus", "page", "pager", "passport", "peace",
    "pisces", "quarter", "question", "recycling", "right", "rightwards", "sagittarius", "school", "scorpius",
    "scroll", "sickle", "sign", "sleeping", "sleepy", "slot", "soon", "square", "stroke", "symbol", "taurus",
    "taxi", "three", "ticket", "tickets", "top", "trend", "two", "virgo", "waning", "waxing", "wc", "yang", "yen",
}  # fmt: skip
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
    """One picture of the font: its code point, its Unicode name in lower case, and how it may be used."""

    code_point: int
    name: str

    @property
    def is_core(self) -> bool:
        """Whether it belongs to the faces, animals, food, transport and sky that must never fail."""
        return any(first <= self.code_point <= last for first, last in CORE)

    @property
    def can_mirror(self) -> bool:
        """Whether its mirror image still means the same."""
        return ONE_WAY.isdisjoint(re.findall("[a-z]+", self.name))


def drawings(font: Path = FONT) -> list[Drawing]:
    """List every drawing that the font holds and Unicode names, in code point order (1,267 with Noto of 2022)."""
    face = ImageFont.truetype(str(font), BITMAP_SIZE)
    found = []
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


def place(drawn: Image.Image, longer_side: int, right: int, down: int) -> Image.Image:
    """Put a cropped drawing on the white canvas: scaled to `longer_side`, centred, then shifted (all in pixels)."""
    scale = longer_side / max(drawn.size)
    size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
    corner = ((CANVAS - size[0]) // 2 + right, (CANVAS - size[1]) // 2 + down)
    canvas = Image.new("RGB", (CANVAS, CANVAS), "white")
    scaled = drawn.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    canvas.paste(scaled, corner, scaled)
    return canvas


def canvases(listed: list[Drawing], font: Path = FONT) -> torch.Tensor:
    """Return all drawings in all placements, not mirrored: uint8, (drawings, placements, 3, 64, 64)."""
    rows = []
    for drawing in listed:
        drawn = picture(drawing, font)
        rows.append(np.stack([np.asarray(place(drawn, *placement)) for placement in PLACEMENTS]))
    return torch.from_numpy(np.stack(rows)).permute(0, 1, 4, 2, 3).contiguous()


def to_signed(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 pixels -> float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1
