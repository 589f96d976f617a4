"""What a run has found, as tables, plots and a page."""
