"""One problem and one fast memory as a page for a browser."""
