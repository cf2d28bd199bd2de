"""What people start: the command and the processes; sees everything, seen by nothing."""
