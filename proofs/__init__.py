"""Theorems that can be run: every `iosim.theorem.Theorem` in the modules here is registered."""
