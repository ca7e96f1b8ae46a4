"""Documentation, and the program that writes its generated part (`python -m docs.generate`)."""
