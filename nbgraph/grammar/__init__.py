"""What people type, read without running it: lines of the shell and the magics, and Python code of a graph.

A line is read as words, as stages, as nodes and edges, and a graph is written as lines.
"""
