"""Getting models: through one Ollama server for the purpose, which systemd runs while a pull lasts, and no longer."""
