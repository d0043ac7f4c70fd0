"""What is wrong with a host that runs Ollama, whoever set it up: read once, judged purely, told with the mend.

`gather` reads (units by `services`, `stored` for model stores), `judge` asks one module a subject, `tell` makes text
and JSON of it. Nothing here changes the host.
"""
