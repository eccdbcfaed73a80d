"""Recipes: what pictures and files say of how they were made, read into a graph, and written from one."""
