"""Turn-taking measured without calls: endpointing, barge-in and self-echo on sets of labelled sound."""
