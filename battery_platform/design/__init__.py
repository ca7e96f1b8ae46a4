"""Recipes for wanted properties: candidates, probability of success, and what was really made nearby.

Here belongs what asks models and physics what to make next. Thin: one search, over recipes between
those that were made; a free search by optimisation and the queue of experiments come later.
"""
