"""What no schedule can beat: lower bounds as values, with their constants, regimes and sources."""

from iosim.callables import make_callable

make_callable(__name__)
