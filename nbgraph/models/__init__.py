"""The models that ship with the package: a plain diffusers folder, and an upscaler for what it draws."""
