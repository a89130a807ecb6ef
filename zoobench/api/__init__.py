"""The functions of `import zoobench as zb`. Names become things here, and nowhere below.

Each command of the shell has its function. Rooms are imported when a function needs them, so that `import zoobench` is
quick, and loads neither PyTorch nor Ray.
"""
