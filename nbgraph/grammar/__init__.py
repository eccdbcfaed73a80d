"""The language of the shell and the magics: lines as words, as stages, as nodes and edges, and back."""
