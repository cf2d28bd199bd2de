"""The edge: HTTP in, JetStream, workflow start."""
