"""Graphs: edited, validated, planned, run as sessions, and stored.

Importing any module of the package registers the node type "graph", so that a file with a graph node can be read.
"""

from nbgraph.services.shared.graph import library as library
