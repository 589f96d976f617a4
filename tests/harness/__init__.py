"""What the tests stand on: a clock that jumps, scripted peers and models, real peers, speech."""
