"""Zoos as datasets of the Hugging Face Hub."""
