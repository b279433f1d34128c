"""Traces word by word: programs expanded by compiled code, what caches make of them, and files."""
