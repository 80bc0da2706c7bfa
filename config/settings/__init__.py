"""One module per way of running: development, demo, test, production; all start from base."""
