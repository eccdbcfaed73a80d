"""The node library. Importing it registers every built-in node; it loads neither torch nor diffusers."""

# before anything that imports numpy
import nbgraph.invocations.libraries  # noqa: F401, I001 # pyright: ignore[reportUnusedImport]
from nbgraph.invocations.adapters import ClipSkip, FreeU, LoraLoader, Seamless, StepCache
from nbgraph.invocations.collections import (
    BooleanCollection,
    ConditioningCollection,
    FloatCollection,
    FloatRange,
    ImageCollection,
    IntegerCollection,
    LatentsCollection,
    RandomRange,
    Range,
    RangeOfSize,
    StringCollection,
)
from nbgraph.invocations.color_correct import CorrectColors
from nbgraph.invocations.conditioning import (
    AverageConditioning,
    CombineConditioning,
    ConcatConditioning,
    MaskConditioning,
)
from nbgraph.invocations.control_flow import Collect, If, ItemOf, Iterate, Zip
from nbgraph.invocations.denoise_inputs import (
    BlendLatents,
    ControlLora,
    ControlNet,
    CreateDenoiseMask,
    Scheduler,
    VaeLoader,
)
from nbgraph.invocations.easing import StepEasing
from nbgraph.invocations.image import BlankImage, Image, LoadImage, SaveImage, ShowImage
from nbgraph.invocations.image_color import (
    AdjustHue,
    ConvertImage,
    ImageChannel,
    InverseLerpImage,
    LerpImage,
    MultiplyChannel,
    MultiplyImages,
    OffsetChannel,
)
from nbgraph.invocations.image_compare import CompareImages
from nbgraph.invocations.image_filter import BlurImage, CannyEdges, ColorMap, TileResample
from nbgraph.invocations.image_readers import Caption, EstimateDepth, RemoveBackground, SegmentClicks, SegmentLabels
from nbgraph.invocations.image_size import CropImage, PasteImage, ResizeImage, RotateImage, ScaleImage
from nbgraph.invocations.infill import InfillColor, InfillSmooth, InfillTiles
from nbgraph.invocations.inpaint_region import CropToMask, PasteRegion
from nbgraph.invocations.latents import DenoiseLatents
from nbgraph.invocations.latents_images import ImageToLatents, LatentsToImage
from nbgraph.invocations.latents_size import ResizeLatents, ScaleLatents
from nbgraph.invocations.masks import CombineMasks, MaskEdge, MaskFromAlpha
from nbgraph.invocations.math import (
    Add,
    Divide,
    FloatMath,
    FloatToInteger,
    IntegerMath,
    Multiply,
    RandomFloat,
    RandomInteger,
    RoundFloat,
    Subtract,
)
from nbgraph.invocations.metadata import CoreMetadata, MergeMetadata, Metadata, MetadataItem
from nbgraph.invocations.metrics import Colourfulness, Contrast, Entropy, Psnr, Sharpness, Ssim
from nbgraph.invocations.model import ModelLoader
from nbgraph.invocations.model_metrics import AestheticScore, ClipScore, Lpips, MetricModel
from nbgraph.invocations.model_parts import TextEncoderLoader, TransformerLoader
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.noise import Noise
from nbgraph.invocations.picture_adapters import IpAdapter, T2iAdapter
from nbgraph.invocations.primitives import Boolean, Color, Conditioning, Float, Integer, Latents, String
from nbgraph.invocations.prompt import Prompt
from nbgraph.invocations.prompt_lists import DynamicPrompt, PromptsFromFile
from nbgraph.invocations.prompt_weights import SdxlPrompt, WeightedPrompt
from nbgraph.invocations.references import EditPrompt, Reference
from nbgraph.invocations.strings import JoinStrings, JoinThreeStrings, ReplaceString, SplitPrompt, SplitString
from nbgraph.invocations.text import ImageGrid, TextOnImage
from nbgraph.invocations.textual_inversion import TextualInversion
from nbgraph.invocations.tool_nodes import ToolInpaint, ToolPrompt, ToolSampler, ZeroConditioning
from nbgraph.invocations.upscale import Upscale, UpscalerLoader
from nbgraph.invocations.whole_pipeline import PipelineLoader, WholePipeline
from nbgraph.invocations.wildcards import Wildcards

__all__ = [
    "Add",
    "AdjustHue",
    "AestheticScore",
    "AverageConditioning",
    "BlankImage",
    "BlendLatents",
    "BlurImage",
    "Boolean",
    "BooleanCollection",
    "CannyEdges",
    "ClipScore",
    "Caption",
    "ClipSkip",
    "Collect",
    "Color",
    "ColorMap",
    "Colourfulness",
    "CombineConditioning",
    "CombineMasks",
    "CompareImages",
    "ConcatConditioning",
    "Conditioning",
    "ConditioningCollection",
    "Contrast",
    "ControlLora",
    "ControlNet",
    "ConvertImage",
    "CoreMetadata",
    "CorrectColors",
    "CreateDenoiseMask",
    "CropImage",
    "CropToMask",
    "DenoiseLatents",
    "Divide",
    "DynamicPrompt",
    "EditPrompt",
    "Entropy",
    "EstimateDepth",
    "Float",
    "FloatCollection",
    "FloatMath",
    "FloatRange",
    "FloatToInteger",
    "FreeU",
    "If",
    "Image",
    "ImageChannel",
    "ImageCollection",
    "ImageGrid",
    "ImageToLatents",
    "InfillColor",
    "InfillSmooth",
    "InfillTiles",
    "Integer",
    "IntegerCollection",
    "IntegerMath",
    "InverseLerpImage",
    "IpAdapter",
    "ItemOf",
    "Iterate",
    "JoinStrings",
    "JoinThreeStrings",
    "Latents",
    "LatentsCollection",
    "LatentsToImage",
    "LerpImage",
    "LoadImage",
    "LoraLoader",
    "Lpips",
    "MaskConditioning",
    "MaskEdge",
    "MaskFromAlpha",
    "MergeMetadata",
    "Metadata",
    "MetadataItem",
    "MetricModel",
    "ModelLoader",
    "Multiply",
    "MultiplyChannel",
    "MultiplyImages",
    "Noise",
    "OffsetChannel",
    "PasteImage",
    "PasteRegion",
    "PipelineLoader",
    "Prompt",
    "PromptsFromFile",
    "Psnr",
    "RandomFloat",
    "RandomInteger",
    "RandomRange",
    "Range",
    "RangeOfSize",
    "Reference",
    "registry",
    "RemoveBackground",
    "ReplaceString",
    "ResizeImage",
    "ResizeLatents",
    "RotateImage",
    "RoundFloat",
    "SaveImage",
    "ScaleImage",
    "ScaleLatents",
    "Scheduler",
    "SdxlPrompt",
    "Seamless",
    "SegmentClicks",
    "SegmentLabels",
    "Sharpness",
    "ShowImage",
    "SplitPrompt",
    "SplitString",
    "Ssim",
    "StepCache",
    "StepEasing",
    "String",
    "StringCollection",
    "Subtract",
    "T2iAdapter",
    "TextEncoderLoader",
    "TextOnImage",
    "TextualInversion",
    "TileResample",
    "ToolInpaint",
    "ToolPrompt",
    "ToolSampler",
    "TransformerLoader",
    "Upscale",
    "UpscalerLoader",
    "VaeLoader",
    "WeightedPrompt",
    "WholePipeline",
    "Wildcards",
    "ZeroConditioning",
    "Zip",
]
