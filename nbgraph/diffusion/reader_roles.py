"""Which classes of transformers read images, by their names."""

_ENDS = {
    "ForDepthEstimation": "depth",
    "ForSemanticSegmentation": "segments",
    "ForUniversalSegmentation": "segments",
    "ForInstanceSegmentation": "segments",
}
_STARTS = {"SamModel": "clicks", "SamHQModel": "clicks", "Sam2Model": "clicks"}
_CAPTIONS = ("BlipForConditionalGeneration", "GitForCausalLM", "VisionEncoderDecoderModel")


def reading_role(class_name: str) -> str | None:
    """Return what a class of transformers reads of images: depth, segments, clicks or captions; None for others."""
    if class_name in _CAPTIONS:
        return "captions"
    return _STARTS.get(class_name) or next((role for end, role in _ENDS.items() if class_name.endswith(end)), None)
