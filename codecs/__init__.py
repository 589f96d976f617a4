"""Sound in, numbers out: companding, sample rates, and the audio tokenizers. Depends on neither model nor realtime.

(`import codecs` anywhere is the standard library: this package is always imported as `vivavoce.codecs`.)
"""
