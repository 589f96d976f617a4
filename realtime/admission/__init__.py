"""Who may come in: keys, client secrets, rates and places, and how a request is refused."""
