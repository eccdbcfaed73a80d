"""The models that ship with the package, as plain diffusers folders."""
