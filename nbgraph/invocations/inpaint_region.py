"""Painting a small region at a large size: crop around a mask, and put what was painted back where it was."""

from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image, ImageChops, ImageFilter
from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.image_modes import has_alpha
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField, RegionField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import check_size, mask_problems, open_mask, open_picture


class CropToMaskOutput(BaseInvocationOutput):
    """The region of an image around a mask, enlarged, with the mask in it and where it was."""

    main_field = "image"

    image: ImageField
    mask: ImageField
    region: RegionField
    width: int
    height: int


@invocation("crop_to_mask", title="Crop around mask", category="inpaint", version="1.0.0")
class CropToMask(BaseInvocation):
    """The part of an image around a mask, brought to a size that a model draws well, to be painted there.

    The region has the shape of the result: it grows around the mask, and is moved into the image where it would leave
    it. Paste it back by Paste region.
    """

    image: ImageField = Field(description="Image to paint in")
    mask: ImageField = Field(description="White is painted; transparent counts as black. Of the size of the image")
    padding: int = Field(
        32, ge=0, le=4096, description="Pixels of the image around the mask that are shown to the model"
    )
    width: int = Field(512, gt=0, le=8192, multiple_of=8, description="Width of the cropped image in pixels")
    height: int = Field(512, gt=0, le=8192, multiple_of=8, description="Height of the cropped image in pixels")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        yield from mask_problems(known, context)

    def invoke(self, context: InvocationContext) -> CropToMaskOutput:
        picture = open_picture(context, self.image)
        mask = open_mask(context, self.mask)
        if mask.size != picture.size:
            raise NbgraphError(
                f"the mask is {mask.width} x {mask.height} and the image {picture.width} x {picture.height}; put "
                "ResizeImage before one of them"
            )
        painted = mask.getbbox()
        if painted is None:
            raise NbgraphError(
                "the mask is black everywhere, so there is nothing to crop around; paint some of it white"
            )
        check_size(self.width, self.height)
        region = region_around(painted, picture.size, self.padding, self.width / self.height)
        box = (region.left, region.top, region.left + region.width, region.top + region.height)
        size = (self.width, self.height)
        cropped = picture.crop(box).resize(size, Image.Resampling.LANCZOS)
        # Bilinear: a mask must not overshoot.
        small = mask.crop(box).resize(size, Image.Resampling.BILINEAR)
        return CropToMaskOutput(
            image=context.images.output(cropped).image,
            mask=context.images.output(small, category="mask").image,
            region=region,
            width=self.width,
            height=self.height,
        )


@invocation("paste_region", title="Paste region", category="inpaint", version="1.0.0")
class PasteRegion(BaseInvocation):
    """A painted region put back into its image: within the mask alone, with an edge that fades over some pixels.

    Outside of the mask and its feather not a single pixel changes.
    """

    image: ImageField = Field(description="Image that the region was cropped from")
    painted: ImageField = Field(description="Region after it was painted, of any size")
    mask: ImageField = Field(description="Mask of the whole image: white is taken from the painted region")
    region: RegionField = Field(description="Where the region was, from Crop around mask")
    feather: int = Field(8, ge=0, le=512, description="Pixels around the mask over which the painted part fades out")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        region = known.get("region")
        if region is not None and min(region.width, region.height) < 1:
            yield "region", f"is {region.width} x {region.height} pixels; link the region of Crop around mask"
        yield from mask_problems(known, context)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        picture, region = open_picture(context, self.image), self.region
        if region.left + region.width > picture.width or region.top + region.height > picture.height:
            raise NbgraphError(
                f"the region ends at {region.left + region.width} x {region.top + region.height}, and the image is "
                f"{picture.width} x {picture.height}; give the image that it was cropped from"
            )
        mask = open_mask(context, self.mask)
        if mask.size != picture.size:
            raise NbgraphError(
                f"the mask is {mask.width} x {mask.height}, and the image {picture.width} x {picture.height}; give the "
                "mask of the whole image"
            )
        painted = open_picture(context, self.painted).convert("RGB" if picture.mode[0] == "R" else "L")
        painted = painted.resize((region.width, region.height), Image.Resampling.LANCZOS)
        blended = _colours(picture)
        over = blended.copy()
        over.paste(painted, (region.left, region.top))
        inside = Image.new("L", picture.size)
        inside.paste(255, (region.left, region.top, region.left + region.width, region.top + region.height))
        blended.paste(over, mask=ImageChops.multiply(faded(mask, self.feather), inside))
        if has_alpha(picture):
            blended.putalpha(picture.getchannel("A"))
        return context.images.output(blended)


def region_around(painted: tuple[int, int, int, int], size: tuple[int, int], padding: int, ratio: float) -> RegionField:
    """Return the smallest region around a box with that padding, of a ratio of width to height, within an image.

    Where the image is too small for the ratio, the region is as large as the image allows, of another ratio.
    """
    left, top, right, bottom = painted
    width, height = right - left + 2 * padding, bottom - top + 2 * padding
    width, height = max(width, round(height * ratio)), max(height, round(width / ratio))
    width, height = min(width, size[0]), min(height, size[1])
    x = min(max(0, (left + right - width) // 2), size[0] - width)
    y = min(max(0, (top + bottom - height) // 2), size[1] - height)
    return RegionField(left=x, top=y, width=width, height=height)


def faded(mask: Image.Image, feather: int) -> Image.Image:
    """Return a mask that stays as it is within, and fades to black over `feather` pixels around it.

    No pixel farther than `feather` from the mask is other than black.
    """
    if not feather:
        return mask
    # Grown by half and blurred over half: a box blur reaches exactly as far as its radius.
    half = (feather + 1) // 2
    grown = mask
    for _ in range(feather - half):
        grown = grown.filter(ImageFilter.MaxFilter(3))
    return ImageChops.lighter(mask, grown.filter(ImageFilter.BoxBlur(half)))


def _colours(picture: Image.Image) -> Image.Image:
    return picture.convert(picture.mode[:-1]) if has_alpha(picture) else picture.copy()
