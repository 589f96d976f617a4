"""English text as it is said: numbers, dates, amounts, units, abbreviations, mark-up; words aligned to their source."""
