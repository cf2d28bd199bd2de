"""The story of one alert, deterministic."""
