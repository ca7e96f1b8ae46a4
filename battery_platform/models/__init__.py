"""Surrogates that other teams load: training sets, evaluation, gate, registry.

In scope: turning marts into registered models, and predicting with them. Out of scope: what to do with a
prediction, which is up to `design`.
"""
