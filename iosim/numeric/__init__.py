"""What the arrays are, what exact attention is in float64, and whether a program computes what it should."""
