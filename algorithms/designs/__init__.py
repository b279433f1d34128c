"""Block designs: which monomials a block of features holds. Point sets that cover all g points, blown up to coordinates."""
