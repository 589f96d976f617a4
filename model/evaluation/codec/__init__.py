"""How good the audio codec is: word errors, DNSMOS, delay and work, beside other codecs in one table."""
