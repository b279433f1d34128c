"""Which tiles, and how near the bound: searches over tile sizes, and curves of I/O against fast memory."""
