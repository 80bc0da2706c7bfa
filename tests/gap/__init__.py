"""A host's app: the context models that the documentation names, and some of other shapes."""
