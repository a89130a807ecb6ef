"""Train populations of models: specs and presets, trainers, jobs on Ray."""
