"""Is a program a legal schedule? The rules, what has been written when, and the walk through the loops that asks them."""

from iosim.interpret.legality.check import violations as violations
