"""Task logs as hosts keep them. The app has no migrations: its tables are just created."""
