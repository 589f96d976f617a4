"""Converts written English to spoken words: numbers, dates, units, abbreviations, markup; aligned to the original."""
