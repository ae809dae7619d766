"""The daemon as a process: the composition root, serving, worker processes, resource limits and the demo."""
