"""One run: what is counted, checked, computed and said of an algorithm on one problem and one fast memory."""
