"""Theorems that can be run: every `iosim.proof.theorem.Theorem` in the modules here is registered."""
