"""One call of the benchmark: a caller with microphone, loudspeaker and a link, who follows a scenario."""
