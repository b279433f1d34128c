"""Caches: what a hardware cache would make of a trace, by simulation. See `iosim.interpret.cache`."""
