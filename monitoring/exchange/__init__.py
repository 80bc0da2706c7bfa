"""Rules in and out of the database as files."""
