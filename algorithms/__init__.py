"""One file an algorithm; what helps to write them is in the sub-packages, which hold no algorithm."""
