"""Surrogates that other teams load: training sets, evaluation, gate, registry.

Here belongs what turns marts into registered models and asks them. What to do with a prediction
is the business of `design`.
"""
