"""Pure: no input or output, no clock, no framework."""
