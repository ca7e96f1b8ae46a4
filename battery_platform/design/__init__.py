"""Recipes for wanted properties: candidates, probability of success, and similar electrodes already made.

In scope: using models and physics to decide what to make next. Limitations: one search, over recipes
between those already made; there is no free search by optimisation and no queue of experiments yet.
"""
