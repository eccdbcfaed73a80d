"""Drawings of graphs: the positions of nodes, SVG and text."""

# A graph draws itself, so the package of graphs is loaded in the middle of a module here unless it is loaded first.
from nbgraph.services.shared import graph as graph
