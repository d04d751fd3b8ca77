"""What is measured beside: programs that run in environments of their own."""
