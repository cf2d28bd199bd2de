"""What a workflow asks the world to do."""
