"""Imports numpy whole, before the nodes that need it: numpy cannot be imported again after an interrupted import."""

from nbgraph.loading import load_library

load_library("numpy")
