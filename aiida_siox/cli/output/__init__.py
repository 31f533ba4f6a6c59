"""What all commands print and write: tables, numbers, files."""
