"""Reports of the benchmark: JSON, terminal, a page, and two reports compared."""
