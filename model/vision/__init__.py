"""Looks at pictures: which questions want eyes, and what there is to be seen."""
