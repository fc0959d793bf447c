"""Stages of a training, one a module; each can be resumed after any step."""
