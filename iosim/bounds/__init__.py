"""What no schedule can beat: lower bounds as values, with their constants, regimes and sources."""
