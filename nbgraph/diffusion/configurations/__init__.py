"""Configurations and vocabularies of known kinds of models, so that a single file opens without a network."""
