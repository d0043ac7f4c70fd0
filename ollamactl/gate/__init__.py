"""The door of servers that sleep: HTTP/1.1 between clients and one Ollama server for each listener."""
