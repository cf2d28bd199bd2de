"""One file per command group; heavy imports happen inside the commands."""
