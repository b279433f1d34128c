"""iosim: count the data movement of attention algorithms exactly, and check the count from both sides."""

__version__ = "0.1.0.dev0"
