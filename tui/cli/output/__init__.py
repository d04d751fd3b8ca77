"""What the commands print: reports, tables, JSON lines and progress bars."""
