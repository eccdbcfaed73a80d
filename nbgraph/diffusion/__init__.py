"""How diffusers is driven: model folders in, latents, conditioning and pictures out; knows no graph and no service."""
