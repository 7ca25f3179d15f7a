"""What launchers share; nothing here is a launcher."""
