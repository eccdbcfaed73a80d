"""Transfer the colours of one image to another."""

from PIL import Image, ImageChops, ImageFilter, ImageStat
from pydantic import Field

from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.color_spaces import as_byte, from_space, to_space
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import colors_and_alpha, open_mask, open_picture, with_alpha


@invocation("color_correct", title="Correct colors", category="image", version="1.0.1")
class CorrectColors(BaseInvocation):
    """A picture with the colours of a reference: mean and spread of each Lab channel, where the mask is white.

    After Reinhard and others, Color Transfer between Images, 2001.
    """

    image: ImageField = Field(description="Image whose colours are changed")
    reference: ImageField = Field(description="Image whose colours are wanted")
    mask: ImageField | None = Field(
        None, description="Where to change colours: white is changed, black is kept; without it everywhere"
    )
    mask_blur_radius: float = Field(
        8.0, ge=0, le=512, title="Mask blur", description="Blur of the mask in pixels, so that the change fades out"
    )

    def invoke(self, context: InvocationContext) -> ImageOutput:
        colors, alpha = colors_and_alpha(open_picture(context, self.image))
        wanted, wanted_alpha = colors_and_alpha(open_picture(context, self.reference))
        mask = None if self.mask is None else open_mask(context, self.mask, colors.size)
        lab = to_space(colors.convert("RGB"), "LAB")
        given = _statistics(lab, alpha, mask)
        within = _statistics(to_space(wanted.convert("RGB"), "LAB"), wanted_alpha)
        bands: list[Image.Image] = []
        for place, band in enumerate(lab.split()):
            # a channel of one value has no spread that could be scaled
            spread = within.stddev[place] / given.stddev[place] if given.stddev[place] else 1.0
            mean, target = given.mean[place], within.mean[place]
            bands.append(band.point([as_byte((v - mean) * spread + target) for v in range(256)]))
        corrected = from_space(Image.merge("LAB", bands), "LAB")
        if mask is not None:
            soft = mask.filter(ImageFilter.GaussianBlur(self.mask_blur_radius))
            corrected = Image.composite(corrected, colors.convert("RGB"), soft)
        return context.images.output(with_alpha(corrected, alpha))


def _statistics(lab: Image.Image, *masks: Image.Image | None) -> ImageStat.Stat:
    """Return the statistics of the pixels that no mask hides; of all pixels where none would be left."""
    shown = Image.new("L", lab.size, 255)
    for mask in masks:
        if mask is not None:
            shown = ImageChops.multiply(shown, mask)
    # transparent pixels hold colours too, which nobody sees
    return ImageStat.Stat(lab, shown if shown.getbbox() else None)
