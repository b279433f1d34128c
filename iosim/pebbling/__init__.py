"""Optimal red-blue pebbling of tiny computation graphs, and lower bounds that need nothing but the graph."""
