"""What models take of the machine's memory."""
