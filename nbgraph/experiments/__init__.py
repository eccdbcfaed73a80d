"""Experiments: what a sweep measures, which change mattered, how two things differ, and what a run will cost."""
