"""Programs that show what a lower bound needs, or that one is wrong: no attention algorithms."""
