"""A host project for real processes: the settings and sample tasks that the door tests start."""
