"""The test lab: real systemd as PID 1 and a real Ollama, made on the spot from package registries.

`python3 -m tests.lab prepare` builds everything once into a cache; `tests.lab.container.Container` then
boots a throw-away machine from it in about a second.  Standard library only: the lab runs with Debian's
own /usr/bin/python3 before anything of the project is installed.  It needs root.
"""
